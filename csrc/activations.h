/* The activations that an op may end in: ACTIVATION(name, reads, y, dx). Included where something is made of each.

   name   that of the op; name_backward is its backward
   reads  what s is in dx: OUTPUT, y; INPUT, x; EITHER, y, or x, which gives the same
   y      of x
   dx     of dy and s

   y and dx are compiled for a single number and for a vector (micro/activate.inc.c), so they have operators, and
   SELECT(condition, a, b) for condition ? a : b. NaN stays NaN: it is not <= 0, and not >= 6. No product is the
   outermost: the compiler could fuse it with a sum that follows, and an op that ends in it would have other bits than
   two ops.
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
