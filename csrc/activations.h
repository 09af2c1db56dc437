/* The activations that can be fused into an op's epilogue: ACTIVATION(name, reads, y, dx). Included wherever something
   is made of each.

   name   of the op; that of its gradient is name_backward
   reads  what s is in dx: OUTPUT, y; INPUT, x; EITHER, x or y, which give the same dx
   y      an expression of x
   dx     an expression of dy and s

   Both expressions are compiled for a single number and for a vector (micro/activate.inc.c), so they consist of
   operators, and SELECT(condition, a, b) in place of condition ? a : b. NaN stays NaN: it is not <= 0, and not >= 6.
   The outermost operation is not a product: the compiler could fuse it with a sum that follows, and the fused op would
   differ in bits from two separate ones.
*/
ACTIVATION(relu, EITHER,
    SELECT(x <= 0, 0, x),
    SELECT(s <= 0, 0, dy))

ACTIVATION(relu6, EITHER,
    SELECT(x <= 0, 0, SELECT(x >= 6, 6, x)),
    SELECT((s <= 0) | (s >= 6), 0, dy))

ACTIVATION(hardsigmoid, OUTPUT,
    SELECT(x <= -3, 0, SELECT(x >= 3, 1, (x + 3) / 6)),
    SELECT((s <= 0) | (s >= 1), 0, dy / 6))

ACTIVATION(hardswish, INPUT,
    SELECT(x <= -3, 0, SELECT(x >= 3, x, x * (x + 3) / 6)),
    SELECT(s <= -3, 0, SELECT(s >= 3, dy, dy * ((2 * s + 3) / 6))))

#undef ACTIVATION
