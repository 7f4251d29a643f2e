// Filters that compare elements: sorting, grouping, extremes.

#include <algorithm>

#include "text/jinja/characters.h"
#include "text/jinja/filter_tables.h"
#include "text/jinja/literals.h"
#include "text/jinja/operators.h"

namespace quantspec::jinja {
namespace {

// What an element is compared by: itself or its attribute, texts in lower case unless case counts.
Value KeyOf(Runtime& runtime, const Value& element, const Value* attribute, bool minds_case) {
  runtime.Step();
  Value key = element;
  if (attribute != nullptr && !attribute->is_none()) {
    key = AttributePath(runtime, element, *attribute, nullptr);
  }
  if (minds_case || !key.is_text()) return key;
  return runtime.Text(ToCase(key.text(), Case::kLower));
}

struct Keyed {
  Values keys;
  Value element;
};

bool ComesBefore(Runtime& runtime, const Keyed& a, const Keyed& b) {
  for (size_t i = 0; i < a.keys.size(); ++i) {
    runtime.Walk(a.keys[i]);
    if (Equal(a.keys[i], b.keys[i])) continue;
    return Less(a.keys[i], b.keys[i]);
  }
  return false;
}

// Merges by hand: an order that contradicts itself may not lead the sort astray.
void Sort(Runtime& runtime, std::vector<Keyed>& all, bool reverse) {
  std::vector<Keyed> merged(all.size());
  for (size_t width = 1; width < all.size(); width *= 2) {
    for (size_t begin = 0; begin < all.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, all.size());
      const size_t end = std::min(begin + 2 * width, all.size());
      size_t left = begin, right = middle;
      for (size_t out = begin; out < end; ++out) {
        bool takes_right = left == middle;
        if (!takes_right && right < end) {
          takes_right = reverse ? ComesBefore(runtime, all[left], all[right])
                                : ComesBefore(runtime, all[right], all[left]);
        }
        merged[out] = std::move(all[takes_right ? right++ : left++]);
      }
    }
    all.swap(merged);
  }
}

Value Sorted(Runtime& runtime, std::vector<Keyed> all, bool reverse) {
  if (all.size() == 1) return runtime.Items({std::move(all[0].element)});
  Sort(runtime, all, reverse);
  Values sorted;
  for (Keyed& one : all) sorted.push_back(std::move(one.element));
  return runtime.Items(std::move(sorted));
}

Value SortElements(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  std::vector<Value> attributes;
  if (bound[2] != nullptr && bound[2]->is_text()) {
    const std::string_view names = bound[2]->bytes();
    for (size_t begin = 0; begin <= names.size();) {
      const size_t end = std::min(names.find(',', begin), names.size());
      attributes.emplace_back(names.substr(begin, end - begin), Origin::kTemplate);
      begin = end + 1;
    }
  } else {
    attributes.push_back(bound[2] == nullptr ? Value() : *bound[2]);
  }
  std::vector<Keyed> all;
  for (const Value& one : Elements(runtime, value)) {
    Keyed keyed{{}, one};
    for (const Value& attribute : attributes) {
      keyed.keys.push_back(KeyOf(runtime, one, &attribute, bound.Flag(1, false)));
    }
    all.push_back(std::move(keyed));
  }
  return Sorted(runtime, std::move(all), bound.Flag(0, false));
}

Value SortDict(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  CheckDefined(value);
  if (value.dict() == nullptr)
    throw Failure("dictsort: found a " + value.TypeName() + ", expected a dict");
  const std::string by = bound[1] == nullptr ? "key" : bound.Text(1)->bytes();
  if (by != "key" && by != "value")
    throw Failure("dictsort: found another 'by' than key and value");
  std::vector<Keyed> all;
  for (const auto& [key, one] : value.dict()->items) {
    const Value& compared = by == "key" ? key : one;
    all.push_back({{KeyOf(runtime, compared, nullptr, bound.Flag(0, false))},
                   MakeList({key, one}, ListKind::kTuple)});
  }
  return Sorted(runtime, std::move(all), bound.Flag(2, false));
}

Value Unique(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("unique", arguments, {"case_sensitive", "attribute"});
  Values seen, unique;
  for (const Value& one : Elements(runtime, value)) {
    const Value key = KeyOf(runtime, one, bound[1], bound.Flag(0, false));
    CheckHashable(key);
    for (const Value& old : seen) runtime.Walk(old);
    if (std::any_of(seen.begin(), seen.end(), [&](const Value& old) { return Equal(old, key); })) {
      continue;
    }
    seen.push_back(key);
    unique.push_back(one);
  }
  return runtime.Items(std::move(unique), ListKind::kGenerator);
}

Value Extreme(Runtime& runtime, const char* name, const Value& value, const Arguments& arguments,
              bool wants_largest) {
  const Bound bound(name, arguments, {"case_sensitive", "attribute"});
  const Values all = Elements(runtime, value);
  if (all.empty()) return Value::MakeUndefined("found no element, the sequence is empty");
  size_t best = 0;
  Value best_key = KeyOf(runtime, all[0], bound[1], bound.Flag(0, false));
  for (size_t i = 1; i < all.size(); ++i) {
    Value key = KeyOf(runtime, all[i], bound[1], bound.Flag(0, false));
    if (wants_largest ? !Less(best_key, key) : !Less(key, best_key)) continue;
    best = i;
    best_key = std::move(key);
  }
  return all[best];
}

Value Least(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return Extreme(runtime, "min", value, arguments, false);
}
Value Largest(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return Extreme(runtime, "max", value, arguments, true);
}

Value GroupBy(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("groupby", arguments, {"attribute", "default", "case_sensitive"});
  const Value& attribute = bound.Need(0);
  const bool minds_case = bound.Flag(2, false);
  std::vector<Keyed> all;
  for (const Value& one : Elements(runtime, value)) {
    Value key = AttributePath(runtime, one, attribute, bound[1]);
    all.push_back({{KeyOf(runtime, key, nullptr, minds_case)}, MakeList({key, one})});
  }
  Sort(runtime, all, /*reverse=*/false);
  Values groups;
  for (size_t begin = 0; begin < all.size();) {
    Values members;
    size_t end = begin;
    for (; end < all.size() && Equal(all[end].keys[0], all[begin].keys[0]); ++end) {
      members.push_back(all[end].element.list()->items[1]);
    }
    groups.push_back(
        MakeList({all[begin].element.list()->items[0], runtime.Items(members)}, ListKind::kTuple));
    begin = end;
  }
  return runtime.Items(std::move(groups));
}

Value Slices(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("slice", arguments, {"slices", "fill_with"});
  bound.Need(0);
  const int64_t count = bound.Whole(0, 1);
  if (count < 1) throw Failure("slice: found a number of slices below 1");
  const Values all = Elements(runtime, value);
  const auto size = static_cast<int64_t>(all.size());
  const int64_t each = size / count, longer = size % count;
  Values slices;
  auto next = all.begin();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t take = each + (i < longer ? 1 : 0);
    Values slice(next, next + take);
    next += take;
    if (bound[1] != nullptr && !bound[1]->is_none() && i >= longer) slice.push_back(*bound[1]);
    slices.push_back(runtime.Items(std::move(slice)));
    runtime.Step();
  }
  return runtime.Items(std::move(slices), ListKind::kGenerator);
}

constexpr std::pair<std::string_view, Filter> kFilters[] = {
    {"sort", SortElements}, {"dictsort", SortDict}, {"unique", Unique}, {"min", Least},
    {"max", Largest},       {"groupby", GroupBy},   {"slice", Slices},
};

Filter FindFilter(std::string_view name) {
  Filter found = FindTextFilter(name);
  if (found == nullptr) found = FindListFilter(name);
  return found == nullptr ? FindOrderFilter(name) : found;
}

}  // namespace

Filter FindOrderFilter(std::string_view name) {
  for (const auto& [known, filter] : kFilters) {
    if (known == name) return filter;
  }
  return nullptr;
}

bool HasFilter(std::string_view name) { return FindFilter(name) != nullptr; }

Value ApplyFilter(Runtime& runtime, std::string_view name, const Value& value,
                  const Arguments& arguments) {
  const Filter filter = FindFilter(name);
  if (filter == nullptr) {
    throw Failure("found the filter " + Quote(name) + ", which does not exist");
  }
  runtime.Step();
  if (value.is_text()) runtime.Bytes(value.text().size() / 8);
  return filter(runtime, value, arguments);
}

}  // namespace quantspec::jinja
