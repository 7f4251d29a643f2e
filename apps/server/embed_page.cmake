# Writes SOURCE, which defines PageText() and OpenApiText() from the files PAGE and OPENAPI. String
# literals have limits, so a text becomes as many as it takes.
function(qs_literals result file)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(READ ${file} text)
  string(FIND "${text}" ")qs_page\"" end)
  if(NOT end EQUAL -1)
    message(FATAL_ERROR "${file} holds the end mark of the literals that it is written as")
  endif()
  set(literals)
  string(LENGTH "${text}" length)
  set(begin 0)
  while(begin LESS length)
    string(SUBSTRING "${text}" ${begin} 8000 part)
    string(APPEND literals "    R\"qs_page(" "${part}" ")qs_page\"\n")
    math(EXPR begin "${begin} + 8000")
  endwhile()
  set(${result} "${literals}" PARENT_SCOPE)
endfunction()

function(qs_embed_page source page openapi)
  qs_literals(page_literals ${page})
  qs_literals(openapi_literals ${openapi})
  string(CONCAT content
         "// Generated from apps/server/page.\n#include \"server/page/page.h\"\n\n"
         "namespace quantspec::server {\nusing namespace std::string_view_literals;\n\n"
         "std::string_view PageText() {\n  static constexpr std::string_view kText =\n"
         "${page_literals}    \"\"sv;\n  return kText;\n}\n\n"
         "std::string_view OpenApiText() {\n  static constexpr std::string_view kText =\n"
         "${openapi_literals}    \"\"sv;\n  return kText;\n}\n\n}  // namespace quantspec::server\n")
  file(WRITE ${source}.new "${content}")
  file(COPY_FILE ${source}.new ${source} ONLY_IF_DIFFERENT)
endfunction()
