"""Cases of prepared elementwise ops, sums and products (job_cases.py)."""

from __future__ import annotations

from job_case import Case

from cnnx.backends import compiled
from cnnx.backends.compiled import jobs

# --- activations

ACTIVATIONS = {
    f"{op} {shape} {options or ''}": Case(
        lambda dtype, op=op, shape=shape, options=options: jobs.prepare_activation(
            op, shape, dtype, **options
        ),
        lambda *inputs, op=op, options=options: (getattr(compiled, op)(*inputs, **options),),
        (shape,) * (2 if op.endswith("_backward") else 1),
    )
    for op, shape, options in [
        ("relu", (3, 5), {}),
        ("relu_backward", (40000,), {}),
        ("hardswish", (40000,), {}),
        ("leaky_relu", (3, 5), {"negative_slope": 0.3}),
        ("leaky_relu_backward", (3, 5), {"negative_slope": 0.3}),
        ("sigmoid", (3, 5), {}),
        ("tanh_backward", (3, 5), {}),
        ("softmax", (70, 10), {"axis": 1}),
        ("softmax_backward", (70, 10), {"axis": 1}),
        ("softmax_backward", (3, 100), {"axis": 1}),
        ("log_softmax", (2, 5, 4, 20), {"axis": 1}),
        ("log_softmax_backward", (2, 5, 4, 20), {"axis": 1}),
    ]
}

SETTINGS = {"elu": (0.7,), "gelu": ("none",), "silu": (), "softplus": (2.0, 20.0), "mish": ()}
CURVES = {
    f"{op} {settings} {shape}": Case(
        lambda dtype, op=op, shape=shape, settings=settings: jobs.prepare_curve(
            op, shape, dtype, *settings
        ),
        lambda x, op=op, settings=settings: (getattr(compiled, op)(x, *settings),),
        (shape,),
    )
    for op, settings in [*SETTINGS.items(), ("gelu", ("tanh",))]
    for shape in [(3, 5), (20000,)]
}
PRELU = {
    f"prelu {shape}": Case(
        lambda dtype, shape=shape: jobs.prepare_prelu(shape, dtype),
        lambda x, weight: (compiled.prelu(x, weight),),
        (shape, shape[1:2]),
    )
    for shape in [(1, 1, 20000), (2, 3, 5), (3, 7, 1), (2, 5, 40), (900, 33, 3)]
}
ARITHMETIC = {
    f"{function} {x} {y}": Case(
        lambda dtype, function=function, x=x, y=y: jobs.prepare_binary(function, x, y, dtype),
        lambda x, y, function=function: (compiled.binary(x, y, function),),
        (x, y),
    )
    for function in ("add", "subtract", "multiply", "divide", "maximum", "minimum")
    for x, y in [
        ((3, 5), (3, 5)),
        ((20000,), (20000,)),
        ((5, 40), (1, 40)),
        ((2, 3, 4, 5), (2, 3, 1, 1)),
        ((2, 1, 4, 5), (2, 3, 4, 5)),
        ((1, 3, 1, 5), (2, 1, 4, 1)),
        ((1, 2, 200, 200), (1, 2, 1, 1)),
        ((1, 1), (1, 1)),
    ]
}
UNARY = {
    f"{function} {shape}": Case(
        lambda dtype, function=function, shape=shape: jobs.prepare_unary(
            function, shape, dtype, -0.2, 0.7
        ),
        lambda x, function=function: (compiled.unary(x, function, -0.2, 0.7),),
        (shape,),
    )
    for function in ("abs", "negative", "reciprocal", "exp", "clip", "affine")
    for shape in [(3, 5), (20000,)]
}

# --- reductions, borders

REDUCTIONS = {
    f"reduce {function} {shape}": Case(
        lambda dtype, function=function, shape=shape: jobs.prepare_reduce(shape, dtype, function),
        lambda x, function=function: (compiled.reduce(x, function),),
        (shape,),
    )
    for function in ("sum", "mean", "max", "min", "sum_square", "l2")
    for shape in [(3, 5, 1), (1, 9001, 1), (2, 7, 5), (3, 65, 700)]
}
BORDERS = {
    f"pad {mode} {shape} {padding}": Case(
        lambda dtype, mode=mode, shape=shape, padding=padding: jobs.prepare_pad(
            shape, dtype, padding, mode, 1.5
        ),
        lambda x, mode=mode, padding=padding: (compiled.pad(x, padding, mode, 1.5),),
        (shape,),
    )
    for mode in ("constant", "edge", "reflect", "wrap")
    for shape, padding in [
        ((5,), ((2, 9),)),
        ((2, 3, 40), ((0, 0), (1, 2), (7, -3))),
        ((1, 300, 80), ((1, 1), (0, 0), (3, 3))),
    ]
}
