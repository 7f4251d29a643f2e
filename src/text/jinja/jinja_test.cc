#include "text/jinja/jinja.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include "quantspec/error.h"
#include "text/jinja/json_values.h"

namespace quantspec::jinja {
namespace {

using testing::HasSubstr;

Variables User(const std::string& text) {
  return {{"user", Value(text, Origin::kValue)}, {"bos", Value("<s>", Origin::kTemplate)}};
}

MarkedText Render(const std::string& source, const Variables& variables = {},
                  const Limits& limits = {}) {
  return Template(source, "t").Render(variables, limits, 0);
}

// The text with what came from values in angle quotes: "a<<b>>".
std::string Marks(const std::string& source, const std::string& user) {
  const MarkedText text = Render(source, User(user));
  std::string marked;
  size_t begin = 0;
  for (const auto& [end, origin] : text.runs()) {
    const std::string part = text.bytes().substr(begin, end - begin);
    marked += origin == Origin::kValue ? "<<" + part + ">>" : part;
    begin = end;
  }
  return marked;
}

std::string ErrorOf(const std::string& source, const Limits& limits = {}) {
  try {
    Render(source, User("u"), limits);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Jinja, MarksFollowTheTextThroughOperations) {
  EXPECT_EQ(Marks("a{{ user }}b", "U"), "a<<U>>b");
  EXPECT_EQ(Marks("{{ bos + user + '!' }}", "U"), "<s><<U>>!");
  EXPECT_EQ(Marks("{{ ('[' ~ user ~ ']')|upper }}", "u"), "[<<U>>]");
  EXPECT_EQ(Marks("{{ (' a ' + user + ' ').strip() }}", " u"), "a << u>>");
  EXPECT_EQ(Marks("{{ ('x,' + user).split(',')[1:]|join('-') }}", "u,v"), "<<u>>-<<v>>");
  EXPECT_EQ(Marks("{{ 'a%sb'|format(user) }}{{ 'a{}b'.format(user) }}", "U"), "a<<U>>ba<<U>>b");
  EXPECT_EQ(Marks("{{ user.replace('-', '+') }}", "a-b"), "<<a>>+<<b>>");
  EXPECT_EQ(Marks("{% set x %}<{{ user }}>{% endset %}{{ x[::-1] }}", "uv"), "><<vu>><");
  EXPECT_EQ(Marks("{% macro m(a) %}({{ a }}){% endmacro %}{{ m(user) }}", "U"), "(<<U>>)");
  EXPECT_EQ(Marks("{{ ('k' ~ user)|indent(1, true) }}", "a\nb"), " k<<a>>\n <<b>>");
  EXPECT_EQ(Marks("{% for c in user %}{{ c }}.{% endfor %}", "ab"), "<<a>>.<<b>>.");
}

TEST(Jinja, DataShownAsAWholeIsDataWithItsBrackets) {
  EXPECT_EQ(Marks("{{ [user] }}", "U"), "<<['U']>>");
  EXPECT_EQ(Marks("{{ {'k': user}|tojson }}", "U"), "<<{\">>k<<\": \"U\"}>>");
}

TEST(Jinja, ErrorsNameTheLineAndWhatWasFound) {
  EXPECT_EQ(ErrorOf("a\n{% if x %}\nb"),
            "t: line 3: found end of the template, expected 'elif', 'else' or 'endif'");
  EXPECT_EQ(ErrorOf("\n\n{{ user | nosuch }}"),
            "t: line 3: found the filter 'nosuch', which does not exist");
  EXPECT_EQ(ErrorOf("\n{{ raise_exception('no ' ~ user) }}"),
            "t: line 2: the template refuses this conversation: no u");
  EXPECT_EQ(ErrorOf("x\n{{ missing.name }}"),
            "t: line 2: found the name 'missing', which is not defined");
  EXPECT_EQ(ErrorOf("{{ 1 + 'a' }}"),
            "t: line 1: found int + str, expected operands that '+' takes");
  EXPECT_THAT(ErrorOf("{{ [].append(1) }}"), HasSubstr("may not change"));
  EXPECT_THAT(ErrorOf("{% include 'x' %}"), HasSubstr("one file"));
  EXPECT_THAT(ErrorOf("{{ 99999999999999999999 }}"), HasSubstr("below 2^63"));
  EXPECT_THAT(ErrorOf("{{ 9223372036854775807 + 1 }}"), HasSubstr("64 bits"));
}

TEST(Jinja, TemplatesThatTakeTooMuchAreEnded) {
  Limits limits;
  limits.steps = 10000;
  limits.bytes = 100000;
  EXPECT_THAT(ErrorOf("{% for i in range(99999) %}{% endfor %}", limits), HasSubstr("steps"));
  EXPECT_THAT(ErrorOf("{% set n = namespace(t='ab') %}{% for i in range(99) %}"
                      "{% set n.t = n.t + n.t %}{% endfor %}",
                      limits),
              HasSubstr("bytes of text"));
  EXPECT_THAT(ErrorOf("{{ 'ab' * 99999999999 }}", limits), HasSubstr("bytes of text"));
  EXPECT_THAT(ErrorOf("{{ [0] * 99999999999 }}", limits), HasSubstr("steps"));
  EXPECT_THAT(ErrorOf("{{ 'a'.center(99999999) }}", limits), HasSubstr("bytes of text"));
  EXPECT_THAT(ErrorOf("{{ user|indent(99999999) }}", limits), HasSubstr("bytes of text"));
  EXPECT_THAT(ErrorOf("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), HasSubstr("calls"));
  EXPECT_THAT(ErrorOf("{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}"),
              HasSubstr("calls"));
  EXPECT_THAT(ErrorOf("{{ " + std::string(5000, '(') + std::string(5000, ')') + " }}"),
              HasSubstr("within each other"));
  EXPECT_THAT(ErrorOf("{{ " + std::string(5000, '[') + std::string(5000, ']') + " }}"),
              HasSubstr("within each other"));
  std::string blocks;
  for (int i = 0; i < 5000; ++i) blocks += "{% if user %}";
  EXPECT_THAT(ErrorOf(blocks), HasSubstr("within each other"));
  std::string filters = "{{ user";
  for (int i = 0; i < 5000; ++i) filters += "|trim";
  EXPECT_THAT(ErrorOf(filters + " }}"), HasSubstr("fewer filters"));
}

TEST(Jinja, ValuesThatGrowWithoutTextAreEnded) {
  const std::string twice =
      "{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% endfor "
      "%}";
  EXPECT_THAT(ErrorOf(twice + "{{ n.l }}"), HasSubstr("too many parts"));
  EXPECT_THAT(ErrorOf(twice + "{{ n.l|tojson }}"), HasSubstr("too many parts"));
  EXPECT_THAT(ErrorOf(twice + "{{ [n.l] == [[n.l[0], n.l[1]]] }}"), HasSubstr("steps"));
  EXPECT_THAT(ErrorOf("{% set n = namespace(l=[]) %}{% for i in range(9999) %}"
                      "{% set n.l = [n.l] %}{% endfor %}"),
              HasSubstr("within each other"));
  EXPECT_THAT(ErrorOf("{% set n = namespace(l={}) %}{% for i in range(9999) %}"
                      "{% set n.l = {'a': n.l} %}{% endfor %}"),
              HasSubstr("within each other"));
}

TEST(Jinja, LongChainsAreNoDeepOnes) {
  std::string sum = "{{ 1";
  for (int i = 0; i < 5000; ++i) sum += " + 1";
  EXPECT_EQ(Render(sum + " }}").bytes(), "5001");
  std::string either = "{% if 0 %}";
  for (int i = 0; i < 2000; ++i) either += "{% elif 0 %}";
  EXPECT_EQ(Render(either + "{% else %}x{% endif %}").bytes(), "x");
}

TEST(Jinja, ANamespaceInItselfIsNoTrouble) {
  EXPECT_THAT(ErrorOf("{% set n = namespace() %}{% set n.n = n %}{{ n }}"),
              HasSubstr("within another"));
  EXPECT_EQ(Render("{% set n = namespace() %}{% set n.n = n %}{{ n.n.n is defined }}").bytes(),
            "True");
}

TEST(Jinja, TextOfManyOriginsTakesNoLongerThanOther) {
  const std::string letters(100'000, 'a');
  const auto start = std::clock();  // of this process: others may share the machine
  const MarkedText text = Render(
      "{% set x %}{% for c in user %}{{ c }}b{% endfor %}{% endset %}{{ x|upper }}", User(letters));
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  EXPECT_EQ(text.runs().size(), 2 * letters.size());
  EXPECT_EQ(text.bytes().substr(0, 4), "ABAB");
  EXPECT_LT(seconds, 5.0);  // in a release build 0.1
}

TEST(Jinja, LeavingALoopLeavesTheBlocksInIt) {
  const auto left = [](const std::string& inside) {
    return Render("{% for i in [1, 2] %}{{ i }}" + inside + "x{% endfor %}|{{ y }}").bytes();
  };
  EXPECT_EQ(left("{% with a = 1 %}{% break %}{% endwith %}"), "1|");
  EXPECT_EQ(left("{% with a = 1 %}{% continue %}{% endwith %}"), "12|");
  EXPECT_EQ(left("{% set y %}a{% break %}{% endset %}"), "1|");
  EXPECT_EQ(left("{% set y %}a{% continue %}{% endset %}"), "12|");
  EXPECT_EQ(left("{% filter upper %}a{% break %}{% endfilter %}"), "1|");
  EXPECT_EQ(left("{% filter upper %}a{% continue %}{% endfilter %}"), "12|");
  EXPECT_EQ(left("{% for j in [] %}{% else %}e{% break %}f{% endfor %}"), "1e|");
  EXPECT_EQ(left("{% for j in [] %}{% else %}e{% continue %}f{% endfor %}"), "1e2e|");
  EXPECT_EQ(left("{% for j in [1, 2] %}{{ j }}{% break %}f{% endfor %}"), "11x21x|");
}

TEST(Jinja, TheLargestAndSmallestNumbersAreNoTrouble) {
  const std::string largest = "9223372036854775807", smallest = "-" + largest + " - 1";
  EXPECT_EQ(Render("{{ 'abc'|truncate(" + largest + ") }}").bytes(), "abc");
  EXPECT_EQ(Render("{{ 'abc'|truncate(3, false, '', " + largest + ") }}").bytes(), "abc");
  EXPECT_THAT(ErrorOf("{{ 'abc'|truncate(" + smallest + ") }}"), HasSubstr("below that of its"));
  for (const char* method : {"center", "ljust", "rjust", "zfill"}) {
    EXPECT_EQ(Render("{{ 'a'." + std::string(method) + "(" + smallest + ") }}").bytes(), "a");
  }
}

TEST(Jinja, TitlesDoNotSplitWordsAtZeros) {
  EXPECT_EQ(Render("{{ 'a\\0b-c'|title }}").bytes(), std::string("A\0b-C", 5));
}

TEST(Jinja, BrokenTextIsKeptAsItIs) {
  const std::string broken = "a\xFF\xE2\x82 b";
  EXPECT_EQ(Render("{{ user|trim }}{{ user|length }}", User(broken)).bytes(), broken + "6");
  EXPECT_EQ(Render("{{ user[1:2] }}", User(broken)).bytes(), "\xFF");
}

TEST(Jinja, ThreadsMayShareATemplate) {
  const Template shared("{% for i in range(200) %}{{ user ~ i }}{% endfor %}", "t");
  const std::string expected = shared.Render(User("u"), {}, 0).bytes();
  std::vector<std::string> texts(4);
  std::vector<std::thread> threads;
  for (std::string& text : texts) {
    threads.emplace_back([&] { text = shared.Render(User("u"), {}, 0).bytes(); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : texts) EXPECT_EQ(text, expected);
}

TEST(JinjaJson, ValuesOutsideTheLanguageAreRefused) {
  EXPECT_THROW(FromJson(nlohmann::ordered_json::parse("[9223372036854775808]"), Origin::kValue),
               Failure);
  EXPECT_THROW(
      FromJson(nlohmann::ordered_json::parse(std::string(200, '[') + std::string(200, ']')),
               Origin::kValue),
      Failure);
}

}  // namespace
}  // namespace quantspec::jinja
