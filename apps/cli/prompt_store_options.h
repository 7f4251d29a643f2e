// The prompt store's options, for the commands that read prompts more than once.
#pragma once

#include "cli/common.h"

namespace quantspec::cli {

const Choices<PromptReuse>& ReuseChoices();
// `reuse`: where --reuse is not given.
void AddPromptStoreOptions(CLI::App& app, ModelOptions& options, PromptReuse reuse);
// A warning on standard error if the store on disk has stopped.
void NotePromptStore(const Engine& engine, bool quiet);

}  // namespace quantspec::cli
