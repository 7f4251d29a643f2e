// Tensors that a file keeps in another form than ours: several in one, or without a constant.
#pragma once

#include "formats/loaded_model.h"

namespace quantspec {

// Replaces matrices that stand for several, one above the other, by these: "layers.N.attn.qkv",
// "layers.N.ffn.gate_up", and a "layers.N.ffn.up" twice as high as the model's without a gate
// beside it. The model's configuration is known. Throws Error{kCorrupt} for one of another shape.
void SplitFused(LoadedModel* model);

// Adds 1 to the weights of all norms.
void AddOneToNorms(LoadedModel* model);

}  // namespace quantspec
