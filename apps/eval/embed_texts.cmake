# Writes SOURCE, which defines the files of TEXTS as strings (see builtin_texts.h). Raw string
# literals compile in a fraction of the time that arrays of bytes take.
function(qs_embed_texts source)
  set(definitions)
  foreach(file IN LISTS ARGN)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    get_filename_component(name ${file} NAME_WE)
    file(READ ${file} text)
    string(FIND "${text}" ")qs_text\"" end)
    if(NOT end EQUAL -1)
      message(FATAL_ERROR "${file} holds the end mark of the literals that it is written as")
    endif()
    string(APPEND definitions "    {\"${name}\", R\"qs_text(" "${text}" ")qs_text\"sv},\n")
  endforeach()
  string(CONCAT content
         "// Generated from apps/eval/texts.\n#include \"eval/builtin_texts.h\"\n\n"
         "namespace quantspec::eval {\nusing namespace std::string_view_literals;\n\n"
         "const std::vector<BuiltinText>& BuiltinTexts() {\n"
         "  static const std::vector<BuiltinText> texts = {\n"
         "${definitions}  };\n  return texts;\n}\n\n}  // namespace quantspec::eval\n")
  file(WRITE ${source}.new "${content}")
  file(COPY_FILE ${source}.new ${source} ONLY_IF_DIFFERENT)
endfunction()
