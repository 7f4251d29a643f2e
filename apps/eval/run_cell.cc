#include "eval/run_cell.h"

#include "eval/run_kernels.h"
#include "eval/run_perplexity.h"
#include "quantspec/error.h"

namespace quantspec::eval {
namespace {

// Null where the model has no chat template, or one of no known family.
const ChatFormat* ChatOf(const ModelFile& file) {
  try {
    return file.chat();
  } catch (const Error&) {
    return nullptr;
  }
}

Json TooShort(const Cell& cell, const std::vector<EvalText>& texts) {
  return {{"skipped", std::to_string(texts.size()) + " texts of " + cell.dataset +
                          " give no example " + std::to_string(cell.example) + " of " +
                          std::to_string(cell.context) + " tokens"}};
}

// A set with fewer texts than examples gives several excerpts of each.
Json RunPrompt(const Cell& cell, Engines& engines, TextShelf& shelf, const OnShare& on_share) {
  const std::vector<EvalText>& texts = shelf.Get(cell.dataset);
  if (texts.empty()) return TooShort(cell, texts);
  const auto count = static_cast<int>(texts.size());
  const EvalText& text = texts[static_cast<size_t>(cell.example % count)];
  const ModelFile& file = engines.Of(cell, Target::kOwn).file();
  const auto protocol = cell.protocol == "clean" ? Protocol::kClean : Protocol::kAuthors;
  const std::optional<std::vector<Token>> prompt = BuildPrompt(
      text, file.tokenizer(), ChatOf(file), cell.context, protocol, cell.example / count);
  if (!prompt) return TooShort(cell, texts);
  Json result = {{"text", text.name}};
  const Json decoded = RunDecoding(cell, *prompt, engines, on_share);
  for (const auto& [key, value] : decoded.items()) result[key] = value;
  return result;
}

}  // namespace

const std::vector<EvalText>& TextShelf::Get(const std::string& dataset) {
  const auto [place, is_new] = sets_.try_emplace(dataset);
  if (is_new) {
    try {
      place->second = LoadDataset(data_, dataset, examples_);
    } catch (...) {
      sets_.erase(place);
      throw;
    }
  }
  return place->second;
}

Json RunCell(const Cell& cell, Engines& engines, TextShelf& shelf, const OnShare& on_share) {
  if (cell.experiment == "table5") {
    return RunKernels(cell, engines.Get(cell.model, cell.weights));
  }
  if (cell.experiment == "table2" || cell.experiment == "table3") {
    std::string text;
    for (const EvalText& part : shelf.Get(cell.dataset)) {
      text += (text.empty() ? "" : "\n\n") + part.text;
    }
    return cell.experiment == "table2" ? RunPerplexity(cell, text, engines, on_share)
                                       : RunAxes(cell, text, engines, on_share);
  }
  return RunPrompt(cell, engines, shelf, on_share);
}

}  // namespace quantspec::eval
