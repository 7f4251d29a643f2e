#include "formats/hf_quant.h"

#include <cstdint>
#include <string>

namespace quantspec {
namespace {

HfQuant ReadCompressedTensors(const JsonFields& fields) {
  HfQuant quant;
  const std::string format = fields.String("format").value_or("");
  quant.name = "compressed-tensors " + format;
  if (format == "float-quantized" || format == "naive-quantized") {
    quant.method = HfQuant::Method::kFp8;
  } else if (format == "pack-quantized" || format == "int-quantized") {
    quant.method = HfQuant::Method::kCompressedTensors;
  } else {
    fields.Refuse("format", "\"" + format + "\"", "this format of compressed-tensors");
  }
  const JsonTree* groups = fields.Find("config_groups");
  if (groups == nullptr || !groups->is_object() || groups->empty()) {
    fields.Bad("config_groups", groups == nullptr ? "none" : Shown(*groups), "groups of layers");
  }
  for (auto group = groups->begin(); group != groups->end(); ++group) {
    const JsonFields of_group(*group, fields.where() + ": config_groups: " + group.key());
    const JsonTree* tree = of_group.Find("weights");
    if (tree == nullptr) of_group.Bad("weights", "none", "how weights are quantised");
    const JsonFields weights(*tree, of_group.where() + ": weights");
    const auto bits = static_cast<int>(weights.NeededWhole("num_bits", 1, 64));
    if (bits != 4 && bits != 8) {
      weights.Refuse("num_bits", std::to_string(bits), "any number of bits but 4 and 8");
    }
    if (quant.bits != 0 && quant.bits != bits) {
      weights.Refuse("num_bits", std::to_string(bits), "a model of several numbers of bits");
    }
    quant.bits = bits;
    const JsonTree* order = weights.Find("actorder");
    const std::string shown = order == nullptr ? "" : Shown(*order);
    if (shown == "\"group\"" || shown == "true") {
      weights.Refuse("actorder", shown, "another order of inputs");
    }
  }
  return quant;
}

// MLX writes "quantization" itself, and copies it to "quantization_config".
HfQuant ReadMlx(const JsonFields& fields) {
  HfQuant quant;
  quant.method = HfQuant::Method::kMlx;
  quant.name = "MLX";
  quant.group = fields.NeededWhole("group_size", 1, 1 << 20);
  const std::string mode = fields.String("mode").value_or("affine");
  if (mode != "affine") fields.Refuse("mode", "\"" + mode + "\"", "this mode of MLX");
  return quant;
}

int64_t ReadGroup(const JsonFields& fields) {
  const int64_t group = fields.NeededWhole("group_size", -1, 1 << 20);
  if (group != -1 && group % 32 != 0) {
    fields.Refuse("group_size", std::to_string(group), "a group that is no multiple of 32");
  }
  if (group == 0) fields.Bad("group_size", "0", "-1 or a multiple of 32");
  return group;
}

HfQuant ReadAwq(const JsonFields& fields) {
  HfQuant quant;
  quant.method = HfQuant::Method::kAwq;
  quant.name = "AWQ";
  quant.bits = 4;
  if (const auto bits = fields.NeededWhole("bits", 1, 64); bits != 4) {
    fields.Refuse("bits", std::to_string(bits), "any number of bits but 4");
  }
  const std::string version = fields.String("version").value_or("gemm");
  if (version != "gemm" && version != "GEMM") {
    fields.Refuse("version", "\"" + version + "\"", "this layout of AWQ");
  }
  if (!fields.Bool("zero_point", true)) fields.Refuse("zero_point", "false", "AWQ without zeros");
  quant.group = ReadGroup(fields);
  return quant;
}

HfQuant ReadGptq(const JsonFields& fields) {
  HfQuant quant;
  quant.method = HfQuant::Method::kGptq;
  quant.name = "GPTQ";
  quant.bits = static_cast<int>(fields.NeededWhole("bits", 1, 64));
  if (quant.bits != 4 && quant.bits != 8) {
    fields.Refuse("bits", std::to_string(quant.bits), "any number of bits but 4 and 8");
  }
  quant.group = ReadGroup(fields);
  quant.is_symmetric = fields.Bool("sym", true);
  const std::string format = fields.String("checkpoint_format").value_or("gptq");
  if (format != "gptq" && format != "gptq_v2") {
    fields.Refuse("checkpoint_format", "\"" + format + "\"", "this format of GPTQ");
  }
  quant.zero_offset = format == "gptq" ? 1 : 0;
  return quant;
}

}  // namespace

HfQuant ReadHfQuant(const JsonTree& config, const std::string& file) {
  const JsonFields fields(config, file);
  if (const JsonTree* tree = fields.Find("quantization")) {
    return ReadMlx(JsonFields(*tree, file + ": quantization"));
  }
  const JsonTree* tree = fields.Find("quantization_config");
  if (tree == nullptr) tree = fields.Find("compression_config");
  if (tree == nullptr) return {};
  const JsonFields quant(*tree, file + ": quantization_config");
  const std::string method = quant.String("quant_method").value_or("");
  if (method == "compressed-tensors") return ReadCompressedTensors(quant);
  if (method == "awq") return ReadAwq(quant);
  if (method == "gptq") return ReadGptq(quant);
  if (method == "fp8") {
    HfQuant fp8;
    fp8.method = HfQuant::Method::kFp8;
    fp8.name = "fp8";
    return fp8;
  }
  quant.Refuse("quant_method", "\"" + method + "\"",
               "this way of quantising (known: compressed-tensors, awq, gptq, fp8, and MLX's)");
}

}  // namespace quantspec
