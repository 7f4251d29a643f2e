#include "eval/run_cell.h"

#include "eval/cell_prompt.h"
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

Json RunPrompt(const Cell& cell, Engines& engines, TextShelf& shelf, const OnShare& on_share) {
  const ModelFile& file = engines.Of(cell, Target::kOwn).file();
  std::string why;
  const std::optional<CellPrompt> prompt =
      FindPrompt(cell, file.tokenizer(), ChatOf(file), shelf, &why);
  if (!prompt) return {{"skipped", why}, {"kind", "text"}};
  Json result = {{"text", prompt->text}};
  const Json decoded = RunDecoding(cell, *prompt, engines, on_share);
  for (const auto& [key, value] : decoded.items()) result[key] = value;
  return result;
}

}  // namespace

Json RunCell(const Cell& cell, Engines& engines, TextShelf& shelf, const OnShare& on_share) {
  if (cell.experiment == "table5") return RunKernels(cell, engines.Of(cell, Target::kOwn));
  if (cell.experiment == "table2" || cell.experiment == "table3") {
    const std::vector<EvalText>& texts = shelf.Get(cell.dataset, cell.texts);
    std::string text;
    for (size_t i = 0; i < texts.size() && i < static_cast<size_t>(cell.texts); ++i) {
      text += (i == 0 ? "" : "\n\n") + texts[i].text;
    }
    return cell.experiment == "table2" ? RunPerplexity(cell, text, engines, on_share)
                                       : RunAxes(cell, text, engines, on_share);
  }
  return RunPrompt(cell, engines, shelf, on_share);
}

}  // namespace quantspec::eval
