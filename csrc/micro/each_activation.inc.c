/* CALL(activation) with the activation as a constant, so that functions inlined there do not test it again. */
switch (activation) {
#define ACTIVATION(name, reads, y, dx) case CNNX_ACTIVATION_##name: CALL(CNNX_ACTIVATION_##name); break;
#include "../activations.h"
case CNNX_NO_ACTIVATION: CALL(CNNX_NO_ACTIVATION); break;
}
#undef CALL
