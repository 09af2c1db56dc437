"""Inference plans: a trained network prepared once, for fast predictions.

plan        `compile`, `Plan`: the public interface
graphs      the network as one flat graph of copied layers; changes to such graphs
simplify    pass 1: layers that do nothing in eval mode, and dead ones, are removed
fold        pass 2: batch norm becomes part of the weights before it
settle      pass 3: what follows from the shapes of the inputs
            (pass 4: epilogues, `cnnx.graph.rewrite`)
record      pass 5: what each step asks of the backend, for these shapes
lower       pass 6: these calls as prepared Jobs
sharing     pass 7: values that are the same memory
memory      pass 8: one arena for all values
tune        the algorithms of convolutions, measured
program     the result: what runs for one shape
files       `Plan.save` and `load_plan`
report      `Plan.explain`, `Plan.memory`, `Plan.profile` as text
"""

from cnnx.engine.files import load_plan
from cnnx.engine.plan import Plan, compile

__all__ = ["Plan", "compile", "load_plan"]
