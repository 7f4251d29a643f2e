# Writes SOURCE, which defines PageText() and OpenApiText() from the files PAGE and OPENAPI.
function(qs_embed_page source page openapi)
  qs_raw_literal(page_literal ${page})
  qs_raw_literal(openapi_literal ${openapi})
  string(CONCAT content
         "// Generated from apps/server/page.\n#include \"server/page/page.h\"\n\n"
         "namespace quantspec::server {\nusing namespace std::string_view_literals;\n\n"
         "std::string_view PageText() {\n  static constexpr std::string_view kText =\n"
         "    ${page_literal};\n  return kText;\n}\n\n"
         "std::string_view OpenApiText() {\n  static constexpr std::string_view kText =\n"
         "    ${openapi_literal};\n  return kText;\n}\n\n}  // namespace quantspec::server\n")
  qs_write_source(${source} "${content}")
endfunction()
