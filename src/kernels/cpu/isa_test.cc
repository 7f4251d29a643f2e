#include "kernels/cpu/isa.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "quantspec/error.h"

namespace quantspec::cpu {
namespace {

// Sets QUANTSPEC_ISA for one test.
class ForcedIsa {
 public:
  explicit ForcedIsa(const std::string& value) {
    const char* old = std::getenv("QUANTSPEC_ISA");
    if (old != nullptr) saved_ = old;
    had_ = old != nullptr;
    setenv("QUANTSPEC_ISA", value.c_str(), 1);
  }
  ~ForcedIsa() {
    if (had_) {
      setenv("QUANTSPEC_ISA", saved_.c_str(), 1);
    } else {
      unsetenv("QUANTSPEC_ISA");
    }
  }

 private:
  std::string saved_;
  bool had_ = false;
};

TEST(Isa, PortableIsAlwaysThereAndLast) {
  ASSERT_FALSE(AvailableTables().empty());
  EXPECT_EQ(AvailableTables().back()->isa, "portable");
}

TEST(Isa, EveryAvailableNameFindsItsTable) {
  for (const KernelTable* table : AvailableTables()) {
    EXPECT_EQ(&FindTable(table->isa), table);
  }
}

TEST(Isa, UnknownNameIsAUsageErrorThatListsTheOthers) {
  try {
    FindTable("sse9");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(error.what()).find("sse9"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("portable"), std::string::npos);
  }
}

TEST(Isa, EnvironmentForcesALowerOne) {
  const ForcedIsa forced("portable");
  EXPECT_EQ(DefaultTable().isa, "portable");
}

TEST(Isa, EmptyEnvironmentMeansTheBest) {
  const ForcedIsa forced("");
  EXPECT_EQ(&DefaultTable(), AvailableTables().front());
}

TEST(Isa, WrongEnvironmentIsNamedInTheError) {
  const ForcedIsa forced("avx1024");
  try {
    DefaultTable();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("QUANTSPEC_ISA"), std::string::npos);
  }
}

}  // namespace
}  // namespace quantspec::cpu
