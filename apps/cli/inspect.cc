// quantspec inspect: what a model file holds and what it will take, without loading it.
#include <algorithm>
#include <cstdio>
#include <sstream>

#include "cli/common.h"
#include "cli/json.h"
#include "cli/output.h"

namespace quantspec::cli {
namespace {

constexpr size_t kShownCharacters = 100;  // of a metadata value

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t size : shape) text += (text.empty() ? "" : " x ") + std::to_string(size);
  return text;
}

// One line without control characters, cut to a readable length.
std::string OneLine(const std::string& value) {
  std::string line = value.substr(0, kShownCharacters);
  for (char& character : line) {
    if (static_cast<unsigned char>(character) < 0x20 || character == 0x7F) character = ' ';
  }
  return line + (value.size() > kShownCharacters ? "..." : "");
}

Json ModelJson(const ModelInfo& model) {
  return {{"name", model.name},         {"architecture", model.architecture},
          {"layers", model.layers},     {"hidden", model.hidden},
          {"ffn", model.ffn},           {"q_heads", model.q_heads},
          {"kv_heads", model.kv_heads}, {"head_dim", model.head_dim},
          {"vocab", model.vocab},       {"context", model.context}};
}

Json AdviceJson(const SamplingAdvice& advice) {
  Json json = Json::object();
  const auto add = [&](const char* name, const auto& value) {
    if (!value) return;
    std::ostringstream text;
    text << *value;
    json[name] = Json::parse(text.str());  // 0.6, not the nearest float
  };
  add("temperature", advice.temperature);
  add("top_k", advice.top_k);
  add("top_p", advice.top_p);
  add("min_p", advice.min_p);
  add("repeat_penalty", advice.repeat_penalty);
  add("repeat_window", advice.repeat_window);
  return json;
}

void PrintAsJson(const ModelFile& file, const MemoryPlan& plan) {
  Json json;
  json["model"] = ModelJson(file.info());
  Json metadata = Json::object();
  for (const auto& [key, value] : file.Metadata()) metadata[key] = value;
  json["metadata"] = metadata;
  Json tensors = Json::array();
  for (const TensorInfo& tensor : file.Tensors()) {
    tensors.push_back({{"name", tensor.name},
                       {"source_type", tensor.source_type},
                       {"stored_type", tensor.stored_type},
                       {"shape", tensor.shape},
                       {"source_bytes", tensor.source_bytes},
                       {"stored_bytes", tensor.stored_bytes}});
  }
  json["tensors"] = tensors;
  json["sampling"] = AdviceJson(file.sampling_advice());
  json["draft_exact_layers"] = file.draft_exact_layers();
  json["context"] = plan.context;
  json["memory_bytes"] = MemoryJson(plan.bytes);
  json["available_bytes"] = plan.available_bytes;
  json["largest_context"] = plan.largest_context;
  PrintJson(json);
}

std::string TensorTable(const std::vector<TensorInfo>& tensors) {
  size_t name_width = 6;
  for (const TensorInfo& tensor : tensors) name_width = std::max(name_width, tensor.name.size());
  std::string table;
  const auto add = [&](const std::string& name, const std::string& shape, const std::string& source,
                       const std::string& stored, const std::string& size) {
    std::string line = name + std::string(name_width - name.size() + 2, ' ') + shape;
    const auto column = [&](size_t width, const std::string& text) {
      if (line.size() < width) line.resize(width, ' ');
      line += " " + text;
    };
    column(name_width + 18, source);
    column(name_width + 27, stored);
    column(name_width + 45, size);
    table += line + "\n";
  };
  add("tensor", "shape", "in file", "stored as", "bytes");
  for (const TensorInfo& tensor : tensors) {
    add(tensor.name, ShapeText(tensor.shape), tensor.source_type, tensor.stored_type,
        ShowCount(static_cast<double>(tensor.stored_bytes)));
  }
  return table;
}

void PrintAsText(const ModelOptions& options, const ModelFile& file, const MemoryPlan& plan) {
  const ModelInfo& model = file.info();
  std::string text = model.name + " (" + model.architecture + "): " + std::to_string(model.layers) +
                     " layers, hidden " + std::to_string(model.hidden) + ", ffn " +
                     std::to_string(model.ffn) + ", " + std::to_string(model.q_heads) +
                     " q_heads, " + std::to_string(model.kv_heads) + " kv_heads of " +
                     std::to_string(model.head_dim) + ", vocab " + std::to_string(model.vocab) +
                     ", context " + std::to_string(model.context) + "\n\n";
  for (const auto& [key, value] : file.Metadata()) text += key + " = " + OneLine(value) + "\n";
  text += "\n" + TensorTable(file.Tensors()) + "\n";
  if (const Json advice = AdviceJson(file.sampling_advice()); !advice.empty()) {
    text += "Sampling that the model's authors advise (--sampling model): " + advice.dump() + "\n";
  }
  text += "Last layers that the draft reads as the target does: " +
          std::to_string(file.draft_exact_layers()) + "\n\n";
  const auto row = [&](const std::string& name, uint64_t bytes) {
    text += "  " + name + std::string(10 - name.size(), ' ') +
            ShowCount(static_cast<double>(bytes)) + " bytes\n";
  };
  const int sequences = options.capacity.sequences;
  text += "Memory for " +
          (sequences == 1 ? "a context" : std::to_string(sequences) + " sequences, each") + " of " +
          std::to_string(plan.context) + " tokens:\n";
  row("weights", plan.bytes.weights);
  row("pool", plan.bytes.pool);
  row(options.capacity.sequences == 1 ? "tail" : "tails", plan.bytes.tail);
  if (plan.bytes.windows > 0) row("windows", plan.bytes.windows);
  row("scratch", plan.bytes.scratch);
  row("total", plan.bytes.total());
  row("available", plan.available_bytes);
  text += "Largest context that fits: " + std::to_string(plan.largest_context) + " tokens\n";
  Print(text);
}

int Run(const ModelOptions& options) {
  const auto file = OpenModel(options.engine, options.quiet);
  const MemoryPlan plan = file->Plan(options.session, options.capacity);
  if (options.json) {
    PrintAsJson(*file, plan);
  } else {
    PrintAsText(options, *file, plan);
  }
  return kExitDone;
}

}  // namespace

Command AddInspect(CLI::App& app) {
  const auto options = std::make_shared<ModelOptions>();
  CLI::App* command =
      app.add_subcommand("inspect", "Show a model file's metadata, tensors and memory plan");
  AddModelOptions(*command, *options, JsonOption::kYes);
  AddInteger(*command, "--sequences", options->capacity.sequences, 1, kMaxSequences,
             "sequences that decode together (default: 1)");
  command->add_option("MODEL", options->engine.model_path,
                      "the model, a GGUF file or a Hugging Face folder");
  command->footer(
      "Nothing is loaded: the memory plan is exact before it is taken.\n\n"
      "Examples:\n"
      "  quantspec inspect m.gguf\n"
      "  quantspec inspect m.gguf --context 32768 --weights bf16\n"
      "  quantspec inspect m.gguf --json | jq .memory_bytes.total");
  return {command, [options] { return Run(*options); }};
}

}  // namespace quantspec::cli
