# cmake -DBUILD_DIR= -DSOURCE_DIR= -DCXX= -DWORK_DIR= -P install_test.cmake
# Installs BUILD_DIR into a fresh prefix, builds the example against it and runs it: on the demo
# model if QUANTSPEC_TEST_MODEL names it, and on a missing file, which must be a clear error.

function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE status OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(status)
    message(FATAL_ERROR "${ARGV} failed (${status}):\n${out}${err}")
  endif()
  set(output "${out}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK_DIR})
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${WORK_DIR}/prefix)
run(${CMAKE_COMMAND} -S ${SOURCE_DIR}/tests/install/consumer -B ${WORK_DIR}/build -G Ninja
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER=${CXX} -DCMAKE_PREFIX_PATH=${WORK_DIR}/prefix
    -DEXAMPLE=${SOURCE_DIR}/examples/minimal.cc)
run(${CMAKE_COMMAND} --build ${WORK_DIR}/build)

file(READ ${SOURCE_DIR}/examples/minimal.cc text)
string(REGEX REPLACE "[^\n]" "" breaks "${text}")
string(LENGTH "${breaks}" line_count)
if(line_count GREATER 39)
  message(FATAL_ERROR "examples/minimal.cc has ${line_count} lines, more than 39")
endif()

# Nothing but the public headers is installed.
file(GLOB_RECURSE headers RELATIVE ${WORK_DIR}/prefix/include ${WORK_DIR}/prefix/include/*)
list(FILTER headers EXCLUDE REGEX "^quantspec/[a-z]+\\.h$")
if(headers)
  message(FATAL_ERROR "installed beside the public headers: ${headers}")
endif()
run(${WORK_DIR}/prefix/bin/quantspec --help)

execute_process(COMMAND ${WORK_DIR}/build/minimal ${WORK_DIR}/none.gguf hello
                RESULT_VARIABLE status ERROR_VARIABLE err)
if(NOT status EQUAL 1 OR NOT err MATCHES "none\\.gguf")
  message(FATAL_ERROR "a missing model gave status ${status} and '${err}'")
endif()
if(EXISTS "$ENV{QUANTSPEC_TEST_MODEL}")
  run(${WORK_DIR}/build/minimal $ENV{QUANTSPEC_TEST_MODEL} "What is the capital of France?")
  if(NOT output MATCHES "[A-Za-z]")
    message(FATAL_ERROR "the example answered nothing: '${output}'")
  endif()
endif()
