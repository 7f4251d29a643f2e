// The prompt store's options, for the commands that read prompts more than once.
#pragma once

#include "cli/common.h"

namespace quantspec::cli {

void AddPromptStoreOptions(CLI::App& app, EngineOptions& options);
// A warning on standard error if the store on disk has stopped.
void NotePromptStore(const Engine& engine, bool quiet);

}  // namespace quantspec::cli
