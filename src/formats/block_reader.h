// Reads tensors that a file keeps in the blocks of quant/ggml_blocks.h, one row behind the other;
// plain numbers (F32, F16, BF16) are blocks of one value.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/input_file.h"
#include "formats/loaded_model.h"

namespace quantspec {

struct StoredBlocks {
  std::string name;     // for messages
  uint32_t type = 0;    // a GgmlType that FindGgmlType knows
  uint64_t offset = 0;  // in the file
  int64_t columns = 0;
};

std::shared_ptr<const TensorReader> MakeBlockReader(std::shared_ptr<const InputFile> file,
                                                    StoredBlocks blocks);

}  // namespace quantspec
