"""litert-torch 0.10.0 with the repairs without which it cannot export a text-only Gemma 4. Import it from here.

1. It imports TensorFlow's flatbuffer schema without declaring TensorFlow. ai-edge-litert carries the same generated
   schema, which is put in place under TensorFlow's module name.
2. Transformers decides by a class's module source whether it may choose an implementation for experts. The exporter's
   substitute for the text model lives in another file, so that a Gemma 4 without any experts is refused.
"""

import sys
from types import ModuleType

from ai_edge_litert import schema_py_generated
from transformers.models.gemma4 import modeling_gemma4

EXPERTS = "_can_set_experts_implementation_cached_value"
SCHEMA = "tensorflow.lite.python.schema_py_generated"

for _name in ("tensorflow", "tensorflow.lite", "tensorflow.lite.python"):
    sys.modules.setdefault(_name, ModuleType(_name))
sys.modules["tensorflow.lite.python"].schema_py_generated = schema_py_generated  # type: ignore[attr-defined]
sys.modules[SCHEMA] = schema_py_generated
setattr(modeling_gemma4.Gemma4PreTrainedModel, EXPERTS, True)

import litert_torch  # noqa: E402
from litert_torch.generative.export_hf import export  # noqa: E402
from litert_torch.generative.export_hf.core.external_emb import exportable_module as stock  # noqa: E402

__all__ = ["export", "litert_torch", "stock"]
