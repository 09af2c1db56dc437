/* Smooth activations: CURVE(name) for each. micro/curves.inc.c has two functions of a vector for it, name_of and
   name_slope, and an op takes two settings at most, a and b. Included wherever something is made of each. */
CURVE(elu)        /* a: alpha */
CURVE(gelu)
CURVE(gelu_tanh)
CURVE(silu)
CURVE(softplus)   /* a: beta, b: threshold */
CURVE(mish)

#undef CURVE
