/* CALL(activation) for the activation asked for, as a constant: what is inlined there asks no more. */
switch (activation) {
#define ACTIVATION(name, reads, y, dx) case CNNX_END_IN_##name: CALL(CNNX_END_IN_##name); break;
#include "../activations.h"
case CNNX_NO_ACTIVATION: CALL(CNNX_NO_ACTIVATION); break;
}
#undef CALL
