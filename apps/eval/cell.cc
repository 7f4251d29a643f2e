#include "eval/cell.h"

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "quantspec/engine.h"
#include "quantspec/error.h"

namespace quantspec::eval {
namespace {

constexpr uint64_t kFnvStart = 0xcbf29ce484222325u;

// FNV-1a, 64 bits [fnv].
uint64_t Fnv(std::string_view bytes, uint64_t hash) {
  for (const char byte : bytes) {
    hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001b3u;
  }
  return hash;
}

std::string Hex(uint64_t value) {
  char text[20];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(value));
  return text;
}

Json Inputs(const Cell& cell) {
  Json runs = Json::array();
  for (const RunSpec& run : cell.runs) {
    runs.push_back({{"method", run.method}, {"gamma", run.gamma}});
  }
  return {{"version", std::string(Version())},
          {"experiment", cell.experiment},
          {"model", cell.model.name},
          {"model_bytes", cell.model.bytes},
          {"model_hash", Hex(cell.model.hash)},
          {"weights", cell.weights},
          {"data", cell.data},
          {"dataset", cell.dataset},
          {"protocol", cell.protocol},
          {"context", cell.context},
          {"example", cell.example},
          {"tokens", cell.tokens},
          {"turns", cell.turns},
          {"temperature", cell.temperature},
          {"runs", runs}};
}

}  // namespace

ModelIdentity IdentifyModel(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::error_code error;
  ModelIdentity model;
  model.path = path;
  model.name = std::filesystem::path(path).filename().string();
  model.bytes = std::filesystem::file_size(path, error);
  if (!file || error) {
    throw Error(ErrorKind::kIo, path + ": cannot be read, expected the file of a model");
  }
  std::string head(1 << 20, '\0');
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<size_t>(file.gcount()));
  model.hash = Fnv(head, kFnvStart);
  return model;
}

std::string CellId(const Cell& cell) { return Hex(Fnv(Inputs(cell).dump(), kFnvStart)); }

std::string Checksum(const Json& json) { return Hex(Fnv(json.dump(), kFnvStart)); }

std::string CellTitle(const Cell& cell) {
  std::string title = cell.experiment;
  if (!cell.dataset.empty()) title += " " + cell.dataset;
  if (cell.context > 0) title += " " + std::to_string(cell.context);
  return title + " example " + std::to_string(cell.example) + " of " + cell.model.name;
}

Json CellJson(const Cell& cell) {
  Json json = {{"id", CellId(cell)}};
  const Json inputs = Inputs(cell);
  for (const auto& [key, value] : inputs.items()) json[key] = value;
  return json;
}

Cell ParseCell(const Json& json, const std::string& where) {
  try {
    Cell cell;
    cell.experiment = json.at("experiment").get<std::string>();
    cell.model.name = json.at("model").get<std::string>();
    cell.model.bytes = json.at("model_bytes").get<uint64_t>();
    cell.model.hash = std::stoull(json.at("model_hash").get<std::string>(), nullptr, 16);
    cell.weights = json.at("weights").get<std::string>();
    cell.data = json.at("data").get<std::string>();
    cell.dataset = json.at("dataset").get<std::string>();
    cell.protocol = json.at("protocol").get<std::string>();
    cell.context = json.at("context").get<int>();
    cell.example = json.at("example").get<int>();
    cell.tokens = json.at("tokens").get<int>();
    cell.turns = json.at("turns").get<int>();
    cell.temperature = json.at("temperature").get<float>();
    for (const Json& run : json.at("runs")) {
      cell.runs.push_back({run.at("method").get<std::string>(), run.at("gamma").get<int>()});
    }
    return cell;
  } catch (const std::exception& error) {
    throw Error(ErrorKind::kCorrupt, where + ": is no description of a cell (" + error.what() +
                                         "); remove it and run again");
  }
}

}  // namespace quantspec::eval
