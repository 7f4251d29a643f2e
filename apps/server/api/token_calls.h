// /tokenize and /detokenize, in llama.cpp's shapes.
#pragma once

#include "server/api/order.h"

namespace quantspec::server {

// {content, add_special, parse_special, with_pieces} -> {tokens}.
HttpResponse Tokenize(const Served& served, const HttpRequest& request);
// {tokens} -> {content}.
HttpResponse Detokenize(const Served& served, const HttpRequest& request);

}  // namespace quantspec::server
