#include "formats/hf_model.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "formats/hf_added_tokens.h"
#include "formats/hf_config.h"
#include "formats/hf_files.h"
#include "formats/hf_quant.h"
#include "formats/hf_quant_tensors.h"
#include "formats/hf_tensors.h"
#include "formats/hf_tokenizer.h"
#include "formats/json_tree.h"
#include "formats/sampling_advice.h"
#include "formats/sentencepiece_model.h"
#include "formats/tensor_parts.h"
#include "formats/whole_file.h"

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
  std::string Text(const char* name) const { return ReadWholeFile(At(name), kMostTemplateBytes); }
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

TokenizerSpec ReadTokenizerFile(const Folder& folder, const JsonTree* settings) {
  if (folder.Has("tokenizer.json")) return ReadHfTokenizer(folder.At("tokenizer.json"));
  if (!folder.Has("tokenizer.model")) {
    throw Error(ErrorKind::kUnsupported,
                folder.path() +
                    ": found no tokenizer.json and no tokenizer.model, expected one of them; "
                    "other files of tokenizers (tekken.json) are not supported: have transformers "
                    "save its fast tokenizer into the folder");
  }
  TokenizerSpec spec = ReadSentencePieceModel(folder.At("tokenizer.model"));
  const auto file = folder.Json("added_tokens.json");
  AddHfTokens({file ? &*file : nullptr, settings, folder.At("added_tokens.json"),
               folder.At("tokenizer_config.json")},
              &spec);
  if (settings != nullptr) {
    const JsonFields fields(*settings, folder.At("tokenizer_config.json"));
    spec.add_bos = fields.Bool("add_bos_token", true);
  }
  return spec;
}

void ReadTokenizer(const Folder& folder, const JsonTree& config, const JsonTree* generation,
                   const JsonTree* settings, LoadedModel* model) {
  try {
    TokenizerSpec spec = ReadTokenizerFile(folder, settings);
    if (settings != nullptr) {
      const JsonFields fields(*settings, folder.At("tokenizer_config.json"));
      if (spec.bos < 0) spec.bos = NamedToken(fields, "bos_token", spec);
      const Token eos = NamedToken(fields, "eos_token", spec);
      if (eos >= 0 || spec.kind != TokenizerKind::kSentencePiece) spec.eos = eos;
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

// In tokenizer_config.json: a string, or a list of {name, template}.
void ReadTemplateSetting(const JsonFields& settings, LoadedModel* model) {
  const JsonTree* value = settings.Find("chat_template");
  if (value == nullptr) return;
  if (value->is_string()) {
    model->chat_template = value->get<std::string>();
    return;
  }
  if (!value->is_array()) settings.Bad("chat_template", Shown(*value), "a template or a list");
  for (const JsonTree& entry : *value) {
    const JsonFields fields(entry, settings.where() + ": chat_template");
    const auto name = fields.String("name");
    const auto text = fields.String("template");
    if (!name || !text) fields.Bad(name ? "template" : "name", "none", "a text");
    model->named_chat_templates.emplace_back(*name, *text);
  }
}

// Files go before the setting: chat_template.jinja, and others by name in a folder beside it.
void ReadTemplates(const Folder& folder, const JsonTree* settings, LoadedModel* model) {
  constexpr const char* kOne = "chat_template.jinja";
  constexpr const char* kOthers = "additional_chat_templates";
  const bool has_others = folder.Has(kOthers);
  if (!folder.Has(kOne) && !has_others) {
    if (settings == nullptr) return;
    ReadTemplateSetting(JsonFields(*settings, folder.At("tokenizer_config.json")), model);
    return;
  }
  if (folder.Has(kOne)) model->chat_template = folder.Text(kOne);
  if (!has_others) return;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder.At(kOthers), ignored)) {
    const fs::path& path = entry.path();
    if (path.extension() != ".jinja") continue;
    const std::string name = std::string(kOthers) + "/" + path.filename().string();
    model->named_chat_templates.emplace_back(path.stem().string(), folder.Text(name.c_str()));
  }
  std::sort(model->named_chat_templates.begin(), model->named_chat_templates.end());
}

void AddTemplateNames(LoadedModel* model) {
  std::string names = model->chat_template ? "default" : "";
  for (const auto& [name, text] : model->named_chat_templates) {
    names += (names.empty() ? "" : ", ") + name;
  }
  if (!names.empty()) model->metadata.emplace_back("chat_templates", names);
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
  ReadTemplates(folder, settings ? &*settings : nullptr, &model);
  if (generation) {
    model.sampling =
        ReadHfSampling(*generation, folder.At("generation_config.json"), &model.warnings);
  }
  AddMetadata("", *config, &model);
  if (generation && generation->is_object()) AddMetadata("generation.", *generation, &model);
  AddTemplateNames(&model);
  return model;
}

}  // namespace quantspec
