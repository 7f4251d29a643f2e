#include "eval/json_records.h"

#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

#include "eval/byte_reader.h"
#include "quantspec/error.h"

namespace quantspec::eval {
namespace {

using Json = nlohmann::json;

// The bytes of a ByteReader as the parser wants them.
class ByteIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  explicit ByteIterator(ByteReader* reader) : reader_(reader) {}
  char operator*() const { return reader_->Peek(); }
  ByteIterator& operator++() {
    reader_->Skip();
    return *this;
  }
  ByteIterator operator++(int) {
    const ByteIterator before = *this;
    ++*this;
    return before;
  }
  // Only the comparison with the end, an iterator without a reader, is of use.
  bool operator==(const ByteIterator& other) const {
    return (reader_ == nullptr || reader_->AtEnd()) ==
           (other.reader_ == nullptr || other.reader_->AtEnd());
  }
  bool operator!=(const ByteIterator& other) const { return !(*this == other); }

 private:
  ByteReader* reader_;
};

// Builds the values inside the outermost array or object, one after the other.
class ValueBuilder : public nlohmann::json_sax<Json> {
 public:
  ValueBuilder(std::string path, const OnRecord& on_record)
      : path_(std::move(path)), on_record_(on_record) {}

  bool null() override { return Add(nullptr); }
  bool boolean(bool value) override { return Add(value); }
  bool number_integer(number_integer_t value) override { return Add(value); }
  bool number_unsigned(number_unsigned_t value) override { return Add(value); }
  bool number_float(number_float_t value, const string_t&) override { return Add(value); }
  bool string(string_t& value) override {
    bytes_ += value.size();
    return Add(std::move(value));
  }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return Open(Json::object()); }
  bool start_array(std::size_t) override { return Open(Json::array()); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool key(string_t& name) override {
    bytes_ += name.size();
    keys_.back() = std::move(name);
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const Json::exception& error) override {
    throw Error(ErrorKind::kCorrupt, path_ + ": " + error.what());
  }

 private:
  // `open_` holds what is open inside the outermost value, the innermost last.
  bool Open(Json value) {
    if (!is_inside_) {
      is_inside_ = true;
      keys_.emplace_back();
      return true;
    }
    open_.push_back(std::move(value));
    keys_.emplace_back();
    return CheckSize();
  }
  bool Close() {
    keys_.pop_back();
    if (open_.empty()) return true;  // the outermost value
    Json value = std::move(open_.back());
    open_.pop_back();
    return Add(std::move(value));
  }
  bool Add(Json value) {
    if (!is_inside_) {
      throw Error(ErrorKind::kCorrupt,
                  path_ + ": found a single value, expected an array or object of records");
    }
    bytes_ += sizeof(Json);
    if (!CheckSize()) return false;
    if (open_.empty()) {
      JsonRecord record{path_ + ": value " + std::to_string(++count_), keys_.back(),
                        std::move(value)};
      bytes_ = 0;
      return on_record_(record);
    }
    Json& parent = open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
    } else {
      parent[keys_.back()] = std::move(value);
    }
    return true;
  }
  bool CheckSize() const {
    if (bytes_ + open_.size() * sizeof(Json) <= kMaxRecordBytes) return true;
    throw Error(ErrorKind::kCorrupt, path_ + ": value " + std::to_string(count_ + 1) +
                                         " has more than " + std::to_string(kMaxRecordBytes >> 20) +
                                         " MiB");
  }

  std::string path_;
  const OnRecord& on_record_;
  bool is_inside_ = false;
  std::vector<Json> open_;
  std::vector<std::string> keys_;  // the latest of each open value, the outermost included
  size_t bytes_ = 0;               // of the record so far
  int64_t count_ = 0;
};

}  // namespace

const std::string& JsonRecord::Text(const char* field) const {
  const auto found = value.is_object() ? value.find(field) : value.end();
  if (found != value.end() && found->is_string()) return found->get_ref<const std::string&>();
  throw Error(ErrorKind::kCorrupt,
              where + ": expected an object with the text '" + field + "', found " +
                  (!value.is_object()     ? "no object"
                   : found == value.end() ? "no such field"
                                          : std::string("a ") + found->type_name() + " there"));
}

std::string JsonRecord::TextOr(const char* field) const {
  if (!value.is_object()) return "";
  const auto found = value.find(field);
  return found != value.end() && found->is_string() ? found->get<std::string>() : "";
}

void ReadJsonLines(const std::string& path, const OnRecord& on_record) {
  ByteReader reader(path);
  std::string line;
  while (reader.NextLine(line)) {
    if (line.find_first_not_of(" \t\r\n") == std::string::npos) continue;
    JsonRecord record{path + ":" + std::to_string(reader.line()), "", {}};
    try {
      record.value = Json::parse(line);
    } catch (const Json::exception& error) {
      throw Error(ErrorKind::kCorrupt, record.where + ": " + error.what());
    }
    if (!on_record(record)) return;
  }
}

void ReadJsonValues(const std::string& path, const OnRecord& on_record) {
  ByteReader reader(path);
  ValueBuilder builder(path, on_record);
  Json::sax_parse(ByteIterator(&reader), ByteIterator(nullptr), &builder);
}

}  // namespace quantspec::eval
