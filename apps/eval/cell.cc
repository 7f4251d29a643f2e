#include "eval/cell.h"

#include <filesystem>

#include "eval/fingerprint.h"
#include "quantspec/engine.h"
#include "quantspec/error.h"

namespace quantspec::eval {
namespace {

uint64_t ParseHash(const Json& json) { return std::stoull(json.get<std::string>(), nullptr, 16); }

Json Inputs(const Cell& cell) {
  Json runs = Json::array();
  for (const RunSpec& run : cell.runs) {
    runs.push_back({{"method", run.method}, {"gamma", run.gamma}});
  }
  return {{"version", std::string(Version())},
          {"experiment", cell.experiment},
          {"model", cell.model.name},
          {"model_bytes", cell.model.bytes},
          {"model_hash", HexHash(cell.model.hash)},
          {"weights", cell.weights},
          {"group", cell.group},
          {"data", cell.data},
          {"data_hash", HexHash(cell.data_hash)},
          {"dataset", cell.dataset},
          {"protocol", cell.protocol},
          {"context", cell.context},
          {"texts", cell.texts},
          {"example", cell.example},
          {"tokens", cell.tokens},
          {"turns", cell.turns},
          {"temperature", cell.temperature},
          {"runs", runs}};
}

}  // namespace

std::string Dump(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

ModelIdentity IdentifyModel(const std::string& path) {
  const std::vector<std::string> parts = PartsOfModel(path);
  ModelIdentity model;
  model.path = path;
  model.name = std::filesystem::path(parts.front()).filename().string();
  model.hash = kHashStart;
  for (const std::string& part : parts) {
    model.hash = HashFile(part, model.hash);
    model.bytes += std::filesystem::file_size(part);
  }
  return model;
}

std::string CellId(const Cell& cell) { return HexHash(HashBytes(Dump(Inputs(cell)))); }

std::string Checksum(const Json& json) { return HexHash(HashBytes(Dump(json))); }

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
  const auto version = json.find("version");
  if (version != json.end() && version->is_string() && *version != std::string(Version())) {
    throw Error(ErrorKind::kUnsupported,
                where + ": was made by quantspec " + version->get<std::string>() + ", this is " +
                    std::string(Version()) +
                    ", which computes its cells anew; run quantspec eval again, or make the "
                    "report with that version");
  }
  try {
    Cell cell;
    cell.experiment = json.at("experiment").get<std::string>();
    cell.model.name = json.at("model").get<std::string>();
    cell.model.bytes = json.at("model_bytes").get<uint64_t>();
    cell.model.hash = ParseHash(json.at("model_hash"));
    cell.weights = json.at("weights").get<std::string>();
    cell.group = json.at("group").get<int>();
    cell.data = json.at("data").get<std::string>();
    cell.data_hash = ParseHash(json.at("data_hash"));
    cell.dataset = json.at("dataset").get<std::string>();
    cell.protocol = json.at("protocol").get<std::string>();
    cell.context = json.at("context").get<int>();
    cell.texts = json.at("texts").get<int>();
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
