// Reads weight matrices that a file keeps as codes with scales: integers of 4 or 8 bits, and 8-bit
// floats.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/input_file.h"
#include "formats/loaded_model.h"
#include "formats/stored_numbers.h"

namespace quantspec {

// The value of a code c is (c - z) s + b, or the float that it spells times s. A row's codes lie
// side by side, those of lower bits first.
struct PackedMatrix {
  enum class Codes : uint8_t { kUnsigned, kSigned, kFloatE4M3 };

  std::string name;  // for messages
  std::shared_ptr<const InputFile> file;
  uint64_t offset = 0;  // of the codes
  int64_t rows = 0, columns = 0;
  int bits = 4;  // of a code: 4 or 8
  Codes codes = Codes::kUnsigned;
  // s of row r, column c: number r / row_block * scales_a_row + c / group.
  StoredNumbers scales;
  int64_t row_block = 1, group = 0, scales_a_row = 0;
  // b, where the scales are; without it b = 0 and z is what `zeros` says, the middle code without.
  std::optional<StoredNumbers> biases;
  // Codes of `bits` in 32-bit words [rows * bits / 32, scales_a_row], packed along the rows.
  std::optional<StoredNumbers> zeros;
};

// Codes of integers can be imported as they are where `group` is a multiple of 32.
std::shared_ptr<const TensorReader> MakePackedReader(PackedMatrix matrix);

}  // namespace quantspec
