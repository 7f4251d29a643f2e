#include "server/http/access.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "quantspec/error.h"
#include "test_folder.h"

namespace quantspec::server {
namespace {

HttpRequest With(Headers headers) {
  HttpRequest request;
  request.headers = std::move(headers);
  return request;
}

Access Check(const AccessRules& rules, Headers headers) {
  return CheckAccess(rules, With(std::move(headers)), /*needs_key=*/true);
}

TEST(Access, TakesAddressesAndLocalhostAsHost) {
  const AccessRules rules;
  for (const char* host :
       {"127.0.0.1:8080", "localhost", "LOCALHOST:99", "[::1]:8080", "10.0.0.7"}) {
    EXPECT_EQ(Check(rules, {{"host", host}}), Access::kGranted) << host;
  }
  for (const char* host : {"evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80"}) {
    EXPECT_EQ(Check(rules, {{"host", host}}), Access::kForeignHost) << host;
  }
}

TEST(Access, TakesNamedHosts) {
  AccessRules rules;
  rules.hosts = {"Models.example"};
  EXPECT_EQ(Check(rules, {{"host", "models.example:8080"}}), Access::kGranted);
  EXPECT_EQ(Check(rules, {{"host", "models.example.evil"}}), Access::kForeignHost);
  rules.hosts = {"*"};
  EXPECT_EQ(Check(rules, {{"host", "anything.example"}}), Access::kGranted);
}

TEST(Access, TakesItsOwnOriginOnly) {
  AccessRules rules;
  const auto check = [&](const char* origin) {
    return Check(rules, {{"host", "localhost:8080"}, {"origin", origin}});
  };
  EXPECT_EQ(check("http://localhost:8080"), Access::kGranted);
  for (const char* origin : {"http://localhost:8081", "http://localhost", "null",
                             "http://evil.example", "http://localhost:8080.evil.example"}) {
    EXPECT_EQ(check(origin), Access::kForeignOrigin) << origin;
  }
  rules.origins = {"https://chat.example"};
  EXPECT_EQ(check("https://chat.example"), Access::kGranted);
  EXPECT_EQ(check("https://chat.example.evil"), Access::kForeignOrigin);
}

TEST(Access, AsksForAKeyInEitherHeader) {
  AccessRules rules;
  rules.keys = {"first", "second"};
  EXPECT_EQ(Check(rules, {}), Access::kNoKey);
  EXPECT_EQ(Check(rules, {{"authorization", "Bearer first"}}), Access::kGranted);
  EXPECT_EQ(Check(rules, {{"authorization", "bearer second"}}), Access::kGranted);
  EXPECT_EQ(Check(rules, {{"x-api-key", "second"}}), Access::kGranted);
  for (const char* key : {"firs", "first ", "firsts", "Second", ""}) {
    EXPECT_NE(Check(rules, {{"x-api-key", key}}), Access::kGranted) << key;
  }
  EXPECT_EQ(Check(rules, {{"authorization", "Basic first"}}), Access::kNoKey);
  EXPECT_EQ(CheckAccess(rules, With({}), /*needs_key=*/false), Access::kGranted);
  EXPECT_EQ(KeyOf(rules, With({{"x-api-key", "second"}})), 2);
  EXPECT_EQ(KeyOf(rules, With({{"x-api-key", "third"}})), 0);
}

TEST(Access, ComparesWholeKeys) {
  EXPECT_TRUE(EqualInConstantTime("", ""));
  EXPECT_TRUE(EqualInConstantTime("abc", "abc"));
  EXPECT_FALSE(EqualInConstantTime("abc", "abd"));
  EXPECT_FALSE(EqualInConstantTime("abc", "abcd"));
  EXPECT_FALSE(EqualInConstantTime(std::string("a\0b", 3), std::string("a\0c", 3)));
}

class KeyFile : public ::testing::Test {
 protected:
  void Write(const std::string& text, mode_t mode) {
    std::ofstream(path_) << text;
    chmod(path_.c_str(), mode);
  }
  const TestFolder folder_;
  const std::string path_ = folder_.path() + "/keys";
};

TEST_F(KeyFile, IsReadByLine) {
  Write("# of the team\nalpha\n\n  beta \r\n", 0600);
  EXPECT_EQ(ReadKeyFile(path_), (std::vector<std::string>{"alpha", "beta"}));
}

TEST_F(KeyFile, MustBeItsOwnersAlone) {
  for (const mode_t mode : {0644, 0640, 0602}) {
    Write("alpha\n", mode);
    EXPECT_THROW(ReadKeyFile(path_), Error) << mode;
  }
}

TEST_F(KeyFile, MustHaveAKey) {
  EXPECT_THROW(ReadKeyFile(path_ + ".none"), Error);
  Write("# none\n\n", 0600);
  EXPECT_THROW(ReadKeyFile(path_), Error);
  EXPECT_THROW(ReadKeyFile(::testing::TempDir()), Error);
}

TEST_F(KeyFile, IsNeverCut) {
  Write("alpha\n" + std::string(1 << 20, '#') + "\nbeta\n", 0600);
  EXPECT_THROW(ReadKeyFile(path_), Error);
}

TEST(Message, FramesResponses) {
  HttpResponse response;
  response.body = "{}";
  response.headers = {{"X-A", "b"}};
  const std::string head = HeadText(response, {{"X-C", "d"}}, Framing::kLength, /*closes=*/false);
  EXPECT_EQ(head.rfind("HTTP/1.1 200 OK\r\n", 0), 0u);
  EXPECT_NE(head.find("\r\nContent-Length: 2\r\n"), std::string::npos);
  EXPECT_NE(head.find("\r\nX-A: b\r\nX-C: d\r\n"), std::string::npos);
  EXPECT_NE(head.find("\r\nConnection: keep-alive\r\n\r\n"), std::string::npos);
  const std::string chunked = HeadText(response, {}, Framing::kChunks, /*closes=*/true);
  EXPECT_EQ(chunked.find("Content-Length"), std::string::npos);
  EXPECT_NE(chunked.find("\r\nTransfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_NE(chunked.find("\r\nConnection: close\r\n\r\n"), std::string::npos);
  EXPECT_EQ(ChunkText("0123456789abcdef"), "10\r\n0123456789abcdef\r\n");
  EXPECT_EQ(ChunkText(""), "0\r\n\r\n");
}

}  // namespace
}  // namespace quantspec::server
