// One reader for each kind of file that a data set comes in.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "eval/datasets.h"

namespace quantspec::eval {

// A text file, or JSON lines with a field `text`, either of them perhaps compressed by gzip.
bool IsTextFile(const std::filesystem::path& path);
// The text files in a folder and those inside it, by path; or the file itself. Throws
// Error{kUnsupported} with the conversion if there are only parquet files.
std::vector<std::filesystem::path> TextFiles(const std::filesystem::path& path);

// At most `examples` texts, at most kMaxTextBytes of each. All of them throw as LoadDataset does.
std::vector<EvalText> ReadTexts(const std::filesystem::path& path, int examples);
std::vector<EvalText> ReadInfiniteBench(const std::filesystem::path& path, int examples);
// `folder` holds test.json and sources.json.
std::vector<EvalText> ReadMultiLexSum(const std::filesystem::path& folder, int examples);
std::vector<EvalText> ReadWikiText(const std::filesystem::path& path, int examples);
std::vector<EvalText> ReadC4(const std::filesystem::path& path, int examples);
std::vector<EvalText> ReadLongBench(const std::filesystem::path& path, int examples);
std::vector<EvalText> ReadRuler(const std::filesystem::path& path, int examples);

}  // namespace quantspec::eval
