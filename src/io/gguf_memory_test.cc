// What parsing allocates, above all for files that lie about their sizes.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

#include "io/gguf.h"
#include "io/gguf_test_file.h"
#include "quantspec/error.h"

namespace {
std::atomic<size_t> allocated_bytes{0};
}  // namespace

// Not inlined: compilers would see malloc paired with delete.
[[gnu::noinline]] void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  allocated_bytes.fetch_add(bytes, std::memory_order_relaxed);
  return std::malloc(bytes == 0 ? 1 : bytes);
}
[[gnu::noinline]] void* operator new(size_t bytes) {
  if (void* memory = operator new(bytes, std::nothrow)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace quantspec {
namespace {

template <typename T>
std::string Bytes(T value) {
  return GgufTestFile::Bytes(value);
}

// Bytes that parsing allocates in all, until it ends or throws.
size_t AllocatedByParsing(const std::string& file) {
  const size_t before = allocated_bytes.load();
  try {
    Gguf::Parse(std::as_bytes(std::span(file)), "model.gguf",
                [](uint32_t, int64_t* values, int64_t* bytes) {
                  *values = *bytes = 1;
                  return true;
                });
  } catch (const Error&) {
  }
  return allocated_bytes.load() - before;
}

constexpr uint64_t kLies[] = {uint64_t{1} << 60, ~uint64_t{0}, uint64_t{1} << 32, 1000000};

TEST(GgufMemory, CountsThatTheFileCannotHoldAllocateNothingLarge) {
  for (const uint64_t lie : kLies) {
    const std::string header = "GGUF" + Bytes(uint32_t{3});
    for (const std::string& file :
         {header + Bytes(lie) + Bytes(uint64_t{0}) + std::string(13, '\0'),
          header + Bytes(uint64_t{0}) + Bytes(lie) + std::string(13, '\0'),
          header + Bytes(uint64_t{0}) + Bytes(uint64_t{1}) + Bytes(lie) + std::string(9, '\0'),
          GgufTestFile().Entry("k", 8, Bytes(lie)).Finish(),
          GgufTestFile().Array("k", 8, lie, "").Finish(),
          GgufTestFile().Array("k", 0, lie, std::string(100, '\1')).Finish(),
          GgufTestFile().Array("k", 12, lie, std::string(100, '\1')).Finish(),
          GgufTestFile().TensorAt("t", {lie}, 0, 0).Finish()}) {
      EXPECT_LT(AllocatedByParsing(file), 10000u) << lie << " in " << file.size() << " bytes";
    }
  }
}

TEST(GgufMemory, IsBoundedByTheSizeOfTheFile) {
  GgufTestFile entries, tensors;
  for (int i = 0; i < 2000; ++i) {
    const std::string name = std::to_string(i);
    entries.Entry(name, 0, "1");
    tensors.TensorAt(name, {1, 1, 1, 1}, 0, 0);
  }
  const std::string texts = GgufTestFile().Array("k", 8, 20000, std::string(160000, '\0')).Finish();
  const std::string bytes =
      GgufTestFile().Array("k", 0, 160000, std::string(160000, '\0')).Finish();
  for (const std::string& file :
       {entries.Finish(), tensors.Finish() + std::string(32, '\0'), texts, bytes}) {
    EXPECT_LT(AllocatedByParsing(file), 40 * file.size());
  }
}

}  // namespace
}  // namespace quantspec
