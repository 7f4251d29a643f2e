# One helper for every folder under src/: an object library from its *.cc files, and a test
# executable from its *_test.cc files (globbed, so that none can be forgotten).

add_library(qs_options INTERFACE)
target_compile_options(qs_options INTERFACE -Wall -Wextra -Wshadow -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 misreports std::variant, string concatenation and its own AVX-512 headers.
  target_compile_options(qs_options INTERFACE -Wno-maybe-uninitialized -Wno-restrict)
endif()
if(QS_SANITIZE)
  target_compile_options(qs_options INTERFACE -fsanitize=${QS_SANITIZE} -fno-sanitize-recover=all
                                              -fno-omit-frame-pointer)
  target_link_options(qs_options INTERFACE -fsanitize=${QS_SANITIZE})
endif()
target_include_directories(qs_options INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>
                                                $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
target_link_libraries(qs_options INTERFACE Threads::Threads)

# qs_module(NAME [DIRS sub...] [DEPENDS module...] [LIBRARIES lib...] [LABELS label...])
# Makes the library qs_NAME from ./*.cc and DIRS/*.cc, and, with tests on, the test NAME_test.
function(qs_module name)
  cmake_parse_arguments(ARG "" "" "DIRS;DEPENDS;LIBRARIES;LABELS" ${ARGN})
  set(sources)
  set(tests)
  foreach(dir . ${ARG_DIRS})
    file(GLOB found CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${dir}/*.cc)
    list(APPEND sources ${found})
    file(GLOB found CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${dir}/*_test.cc)
    list(APPEND tests ${found})
  endforeach()
  list(FILTER sources EXCLUDE REGEX "_(test|fuzz)\\.cc$")
  list(TRANSFORM ARG_DEPENDS PREPEND qs_)
  if(NOT sources)  # headers only
    add_library(qs_${name} INTERFACE)
    target_link_libraries(qs_${name} INTERFACE $<BUILD_INTERFACE:qs_options> ${ARG_DEPENDS})
  else()
    add_library(qs_${name} STATIC ${sources})
    target_link_libraries(qs_${name} PUBLIC $<BUILD_INTERFACE:qs_options> ${ARG_DEPENDS})
    target_link_libraries(qs_${name} PRIVATE ${ARG_LIBRARIES})
  endif()
  set_property(GLOBAL APPEND PROPERTY QS_MODULES qs_${name})
  if(QS_TESTS AND tests)
    qs_test(${name}_test SOURCES ${tests} DEPENDS qs_${name} LIBRARIES ${ARG_LIBRARIES}
            LABELS ${ARG_LABELS})
  endif()
endfunction()

# qs_test(NAME SOURCES file... [DEPENDS target...] [LIBRARIES lib...] [LABELS label...])
# A GoogleTest executable whose single tests are ctest entries. The label "threads" marks what
# also runs under ThreadSanitizer.
function(qs_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LIBRARIES;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS} ${ARG_LIBRARIES} qs_options
                                        GTest::gtest_main GTest::gmock)
  include(GoogleTest)
  if(ARG_LABELS)
    set(labels PROPERTIES LABELS "${ARG_LABELS}")
  endif()
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 ${labels})
endfunction()
