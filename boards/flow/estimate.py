"""placeholder"""
def check_fit(config, device): pass
