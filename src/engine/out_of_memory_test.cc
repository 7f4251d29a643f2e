#include "engine/out_of_memory.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>
#include <string>

namespace quantspec {
namespace {

// What `work` throws, with the advice "use less".
template <typename Work>
std::string Message(const Work& work) {
  try {
    OrOutOfMemory(work, [] { return std::string("use less"); });
    return "nothing";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind() == ErrorKind::kMemory, std::string(error.what()) == "use less");
    return error.what();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

TEST(OutOfMemory, IsAnErrorWithTheAdviceOfTheCaller) {
  EXPECT_EQ(Message([]() -> int { throw std::bad_alloc(); }), "use less");
  EXPECT_EQ(Message([]() -> int { throw Error(ErrorKind::kMemory, "cannot allocate"); }),
            "use less");
}

TEST(OutOfMemory, LeavesResultsAndOtherErrorsAlone) {
  EXPECT_EQ(OrOutOfMemory([] { return 7; }, [] { return std::string(); }), 7);
  EXPECT_EQ(Message([]() -> int { throw Error(ErrorKind::kIo, "no file"); }), "no file");
  EXPECT_EQ(Message([]() -> int { throw std::runtime_error("other"); }), "other");
}

}  // namespace
}  // namespace quantspec
