# Writes SOURCE, which defines the files of TEXTS as strings (see builtin_texts.h).
function(qs_embed_texts source)
  set(definitions)
  foreach(file IN LISTS ARGN)
    get_filename_component(name ${file} NAME_WE)
    qs_raw_literal(literal ${file})
    string(APPEND definitions "    {\"${name}\", " "${literal}" "},\n")
  endforeach()
  string(CONCAT content
         "// Generated from apps/eval/texts.\n#include \"eval/builtin_texts.h\"\n\n"
         "namespace quantspec::eval {\nusing namespace std::string_view_literals;\n\n"
         "const std::vector<BuiltinText>& BuiltinTexts() {\n"
         "  static const std::vector<BuiltinText> texts = {\n"
         "${definitions}  };\n  return texts;\n}\n\n}  // namespace quantspec::eval\n")
  qs_write_source(${source} "${content}")
endfunction()
