// The same sum in Verilog: how many of 16 digits are at least 4.
// To try: OPT_FAST=-O2 among the makeflags of any Verilator.
module counted(
  input clk,
  input [3:0] d0, input [3:0] d1, input [3:0] d2, input [3:0] d3,
  input [3:0] d4, input [3:0] d5, input [3:0] d6, input [3:0] d7,
  input [3:0] d8, input [3:0] d9, input [3:0] d10, input [3:0] d11,
  input [3:0] d12, input [3:0] d13, input [3:0] d14, input [3:0] d15,
  output reg [4:0] count
);
  always @(posedge clk)
    count <=
      (((({4'd0, d0 >= 4'd4} + {4'd0, d1 >= 4'd4}) + ({4'd0, d2 >= 4'd4} + {4'd0, d3 >= 4'd4}))
      + (({4'd0, d4 >= 4'd4} + {4'd0, d5 >= 4'd4}) + ({4'd0, d6 >= 4'd4} + {4'd0, d7 >= 4'd4})))
      + ((({4'd0, d8 >= 4'd4} + {4'd0, d9 >= 4'd4}) + ({4'd0, d10 >= 4'd4} + {4'd0, d11 >= 4'd4}))
      + (({4'd0, d12 >= 4'd4} + {4'd0, d13 >= 4'd4}) + ({4'd0, d14 >= 4'd4} + {4'd0, d15 >= 4'd4}))));
endmodule
