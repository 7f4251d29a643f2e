#include "formats/hf_model.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/input_file.h"
#include "formats/hf_config.h"
#include "formats/hf_files.h"
#include "formats/hf_quant.h"
#include "formats/hf_quant_tensors.h"
#include "formats/hf_tensors.h"
#include "formats/hf_tokenizer.h"
#include "formats/json_tree.h"
#include "formats/tensor_parts.h"

namespace quantspec {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMostTemplateBytes = uint64_t{4} << 20;

class Folder {
 public:
  explicit Folder(std::string path) : path_(std::move(path)) {
    while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
  }

  const std::string& path() const { return path_; }
  std::string At(const char* name) const { return (fs::path(path_) / name).string(); }
  bool Has(const char* name) const {
    std::error_code ignored;
    return fs::exists(At(name), ignored);
  }
  std::optional<JsonTree> Json(const char* name) const {
    if (!Has(name)) return std::nullopt;
    return ReadJsonFile(At(name));
  }
  std::string Text(const char* name) const {
    const InputFile file(At(name));
    if (file.size() > kMostTemplateBytes) {
      throw Error(ErrorKind::kCorrupt, At(name) + ": found " + std::to_string(file.size()) +
                                           " bytes, expected a template of at most " +
                                           std::to_string(kMostTemplateBytes));
    }
    std::string text(static_cast<size_t>(file.size()), '\0');
    file.Read(0, std::as_writable_bytes(std::span(text)));
    return text;
  }
  // "SmolLM2-135M" for ".../SmolLM2-135M"; of the hub's cache the model's name, not the commit's.
  std::string Name() const {
    std::error_code ignored;
    const fs::path whole = fs::weakly_canonical(path_, ignored);
    for (const fs::path& part : whole) {
      const std::string name = part.string();
      if (name.starts_with("models--")) return name.substr(name.rfind("--") + 2);
    }
    return whole.filename().string();
  }

 private:
  std::string path_;
};

// An entry "eos_token_id" is one id or a list of them.
void ReadEnds(const JsonTree& tree, const std::string& file, TokenizerSpec* spec) {
  const JsonFields fields(tree, file);
  const JsonTree* ids = fields.Find("eos_token_id");
  if (ids == nullptr) return;
  const JsonTree list = ids->is_array() ? *ids : JsonTree::array({*ids});
  for (const JsonTree& id : list) {
    if (!id.is_number_integer()) fields.Bad("eos_token_id", Shown(*ids), "token ids");
    const auto token = id.get<int64_t>();
    // Some files name ids that only the embedding has, or -1 for none.
    if (token < 0 || token >= static_cast<int64_t>(spec->pieces.size())) continue;
    spec->ends.push_back(static_cast<Token>(token));
    if (spec->eos < 0) spec->eos = static_cast<Token>(token);
  }
}

// "<s>", or {"content": "<s>", ...}.
Token NamedToken(const JsonFields& fields, const char* key, const TokenizerSpec& spec) {
  const JsonTree* value = fields.Find(key);
  if (value == nullptr) return -1;
  if (value->is_object() && value->contains("content")) value = &(*value)["content"];
  if (!value->is_string()) fields.Bad(key, Shown(*value), "the text of a token");
  return FindPiece(spec, value->get_ref<const std::string&>());
}

void ReadTokenizer(const Folder& folder, const JsonTree& config, const JsonTree* generation,
                   const JsonTree* settings, LoadedModel* model) {
  try {
    if (!folder.Has("tokenizer.json")) {
      throw Error(ErrorKind::kUnsupported,
                  folder.path() +
                      ": found no tokenizer.json, expected one; other files of "
                      "tokenizers (tokenizer.model, tekken.json) are not supported: "
                      "have transformers save its fast tokenizer into the folder");
    }
    TokenizerSpec spec = ReadHfTokenizer(folder.At("tokenizer.json"));
    if (settings != nullptr) {
      const JsonFields fields(*settings, folder.At("tokenizer_config.json"));
      if (spec.bos < 0) spec.bos = NamedToken(fields, "bos_token", spec);
      spec.eos = NamedToken(fields, "eos_token", spec);
      if (spec.eos >= 0) spec.ends.push_back(spec.eos);
    }
    if (generation != nullptr) ReadEnds(*generation, folder.At("generation_config.json"), &spec);
    ReadEnds(config, folder.At("config.json"), &spec);
    std::sort(spec.ends.begin(), spec.ends.end());
    spec.ends.erase(std::unique(spec.ends.begin(), spec.ends.end()), spec.ends.end());
    model->tokenizer = std::move(spec);
  } catch (const Error& error) {
    model->no_tokenizer = error;  // whoever needs none, goes on
    return;
  }
  model->config.tokens =
      std::min(model->config.info.vocab, static_cast<int>(model->tokenizer->pieces.size()));
}

// A template is a string, or a list of {name, template}, of which "default" is the one for chats.
std::optional<std::string> TemplateOf(const JsonFields& settings) {
  const JsonTree* value = settings.Find("chat_template");
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  if (!value->is_array()) settings.Bad("chat_template", Shown(*value), "a template or a list");
  for (const JsonTree& entry : *value) {
    const JsonFields fields(entry, settings.where() + ": chat_template");
    if (fields.String("name") == "default") return fields.String("template");
  }
  return std::nullopt;
}

void AddMetadata(const std::string& prefix, const JsonTree& tree, LoadedModel* model) {
  for (const auto& [key, value] : tree.items()) {
    model->metadata.emplace_back(prefix + key,
                                 value.is_string() ? value.get<std::string>() : value.dump());
  }
}

void ReadTensors(const Folder& folder, const HfQuant& quant, const HfConfig& config,
                 LoadedModel* model) {
  const std::vector<SafetensorsFile> files = OpenHfFiles(folder.path());
  for (const SafetensorsFile& file : files) model->files.push_back(file.file);
  const HfNames names(model->config.layer(0).norms, config.is_nested);
  model->name_in_source = [names](std::string_view name) { return names.ToTheirs(name); };
  model->tensors = MakeHfTensors(files, quant, names);
  for (SourceTensor& tensor : model->tensors) {
    // Tied models may carry a copy of the embedding, which transformers does not read either.
    if (config.is_tied && tensor.name == "head") tensor.name.clear();
  }
  SplitFused(model);
  if (config.norms_add_one) AddOneToNorms(model);
  model->SortTensors();
  if (config.is_tied || model->Find("head") != nullptr) return;
  throw Error(ErrorKind::kCorrupt,
              folder.path() +
                  ": tensor lm_head.weight is missing, and config.json does not set "
                  "tie_word_embeddings; the folder is incomplete: fetch all of its files");
}

}  // namespace

LoadedModel LoadHfFolder(const std::string& path) {
  const Folder folder(path);
  const auto config = folder.Json("config.json");
  if (!config) {
    throw Error(ErrorKind::kIo, folder.path() +
                                    ": found no config.json, expected the folder of a model from "
                                    "the Hugging Face hub, or the path of a GGUF file");
  }
  LoadedModel model;
  model.name = folder.path();
  const HfConfig read = ReadHfConfig(*config, folder.At("config.json"));
  model.config = read.model;
  model.config.info.name = folder.Name();
  ReadTensors(folder, ReadHfQuant(*config, folder.At("config.json")), read, &model);
  const auto generation = folder.Json("generation_config.json");
  const auto settings = folder.Json("tokenizer_config.json");
  ReadTokenizer(folder, *config, generation ? &*generation : nullptr,
                settings ? &*settings : nullptr, &model);
  if (settings) {
    model.chat_template = TemplateOf(JsonFields(*settings, folder.At("tokenizer_config.json")));
  }
  if (folder.Has("chat_template.jinja")) model.chat_template = folder.Text("chat_template.jinja");
  AddMetadata("", *config, &model);
  if (generation && generation->is_object()) AddMetadata("generation.", *generation, &model);
  return model;
}

}  // namespace quantspec
