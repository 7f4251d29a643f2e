# qs_raw_literal(RESULT FILE)
# Sets RESULT to a C++ expression, the text of FILE as a std::string_view, and configures anew when
# FILE changes. Raw string literals compile in a fraction of the time that arrays of bytes take.
function(qs_raw_literal result file)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(READ ${file} text)
  string(FIND "${text}" ")qs_text\"" end)
  if(NOT end EQUAL -1)
    message(FATAL_ERROR "${file} holds the end mark of the literals that it is written as")
  endif()
  string(CONCAT literal "R\"qs_text(" "${text}" ")qs_text\"sv")
  set(${result} "${literal}" PARENT_SCOPE)
endfunction()

# qs_write_source(SOURCE CONTENT)
# Leaves SOURCE alone if it has that content already, so that nothing is compiled again.
function(qs_write_source source content)
  file(WRITE ${source}.new "${content}")
  file(COPY_FILE ${source}.new ${source} ONLY_IF_DIFFERENT)
endfunction()
