// JSON as values of a template.
#pragma once

#include <nlohmann/json.hpp>

#include "text/jinja/value.h"

namespace quantspec::jinja {

// Texts and names in it are marked with `origin`. Throws Failure for whole numbers beyond 63 bits
// and for what is nested more than 100 deep.
Value FromJson(const nlohmann::ordered_json& json, Origin origin);

}  // namespace quantspec::jinja
