// Reads weight matrices that a file keeps transposed, as AWQ and GPTQ write them: codes of 4 or 8
// bits in 32-bit words, with scales and zeros a group of inputs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/input_file.h"
#include "formats/loaded_model.h"
#include "formats/stored_numbers.h"

namespace quantspec {

// The value of a code c is (c - z) s.
struct TransposedMatrix {
  enum class Packed : uint8_t {
    kAlongInputs,  // words [inputs * bits / 32, outputs]
    // Words [inputs, outputs * bits / 32], also of `zeros`, that hold the first, third, fifth, ...
    // output in their lower halves.
    kInterleaved,
  };

  std::string name;  // for messages
  std::shared_ptr<const InputFile> file;
  uint64_t offset = 0;
  int64_t outputs = 0, inputs = 0;  // multiples of 32 / bits
  int bits = 4;
  Packed packed = Packed::kAlongInputs;
  int64_t group = 0;     // inputs, a multiple of 32
  StoredNumbers scales;  // [inputs / group, outputs]
  // Words [inputs / group, outputs * bits / 32]; without them z is the middle code.
  std::optional<StoredNumbers> zeros;
  int zero_offset = 0;  // of z above what is stored
};

std::shared_ptr<const TensorReader> MakeTransposedReader(TransposedMatrix matrix);

}  // namespace quantspec
