#include "eval/report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "eval/method.h"
#include "eval/paper_values.h"
#include "eval/plan.h"
#include "eval/report_plots.h"
#include "eval/report_tables.h"
#include "quantspec/error.h"

namespace quantspec::eval {
namespace {

// A run as a cell's file holds it: `speeds` in tokens a second by turn.
Json MakeRun(const RunSpec& spec, int tokens, int64_t drafted, int64_t accepted,
             const std::vector<double>& speeds) {
  const Method& method = FindMethod(spec.method);
  const bool speculates = method.kind == MethodKind::kSpeculative;
  const int64_t rounds = speculates ? tokens - 1 - accepted : tokens - 1;
  std::vector<int64_t> by_position(static_cast<size_t>(spec.gamma), 0);
  Json reached_at = by_position, accepted_at = by_position;
  if (speculates) {
    reached_at[0] = rounds;
    accepted_at[0] = std::min(accepted, rounds);
  }
  return {{"method", spec.method},
          {"gamma", spec.gamma},
          {"weights", "bf16"},
          {"cache", "hierarchical"},
          {"generated", tokens},
          {"rounds", rounds},
          {"drafted", drafted},
          {"accepted", accepted},
          {"reached_by_position", reached_at},
          {"accepted_by_position", accepted_at},
          {"rep4", 0.1},
          {"identical", true},
          {"memory_bytes", {{"weights", 700}, {"total", 1000}}},
          {"peak_rss_bytes", 2000},
          {"tokens_per_s", speeds},
          {"tokens_per_s_90", speeds},
          {"draft_s", {0.1}},
          {"verify_s", {0.2}}};
}

class Reports : public testing::Test {
 protected:
  // `speed` gives tokens a second of a run in turn `turn`.
  template <typename Speed>
  Report Make(const std::vector<std::string>& datasets, const std::vector<int>& gammas, int turns,
              Speed speed, int examples = 1) {
    PlanOptions options;
    options.experiments = {"table4"};
    options.models = {{"m.gguf", "m.gguf", 10, 3}};
    options.model_contexts = {100000};
    options.datasets = datasets;
    options.contexts = {4000};
    options.methods = {"snapkv", "quantspec"};
    options.gammas = gammas;
    options.examples = examples;
    options.turns = turns;
    std::vector<std::string> notes;
    plan_ = MakePlan(options, &notes);
    std::vector<DoneCell> done;
    for (const Cell& cell : plan_) {
      Json runs = Json::array();
      for (const RunSpec& run : cell.runs) {
        std::vector<double> speeds;
        for (int turn = 0; turn < turns; ++turn) speeds.push_back(speed(cell, run, turn));
        runs.push_back(
            MakeRun(run, 129, run.gamma == 0 ? 0 : 100, run.gamma == 0 ? 0 : 80, speeds));
      }
      done.push_back(
          {cell, {{"machine", {{"cpu", "C"}, {"isa", "avx2"}, {"threads", 2}}}, {"runs", runs}}});
    }
    return MakeReport(plan_, std::move(done));
  }

  static const Summary* Find(const std::vector<Summary>& all, const std::string& method) {
    for (const Summary& summary : all) {
      if (summary.method == method) return &summary;
    }
    return nullptr;
  }

  std::vector<Cell> plan_;
};

double Base(const RunSpec& run) {
  return run.method == "plain-bf16" ? 10 : run.method == "plain" ? 20 : 40;
}

TEST_F(Reports, SpeedupsAreMediansOfRatiosWithinATurn) {
  // The machine is twice and ten times as slow in later turns; ratios do not notice.
  const Report report = Make({"a"}, {2}, 3, [](const Cell&, const RunSpec& run, int turn) {
    const double slow = turn == 0 ? 1 : turn == 1 ? 2 : 10;
    return (run.method == "quantspec" ? 25.0 : Base(run)) / slow;
  });
  const Summary* ours = Find(report.summary, "quantspec");
  ASSERT_NE(ours, nullptr);
  EXPECT_NEAR(*ours->speedup.bf16, 2.5, 1e-12);
  EXPECT_NEAR(*ours->speedup.own, 1.25, 1e-12);
  EXPECT_NEAR(*ours->speedup.int4, 0.625, 1e-12);
  EXPECT_NEAR(*ours->acceptance, 0.8, 1e-12);
  EXPECT_NEAR(ours->tau, 128.0 / 48, 1e-12);
  EXPECT_EQ(ours->n, 1);
  // Plain decoding has no acceptance and is 1 against itself.
  const Summary* plain = Find(report.summary, "plain-bf16");
  EXPECT_FALSE(plain->acceptance.has_value());
  EXPECT_NEAR(*plain->speedup.bf16, 1, 1e-12);
}

TEST_F(Reports, SpeedupsOverExamplesAreGeometricMeans) {
  const Report report = Make({"a", "b"}, {2}, 1, [](const Cell& cell, const RunSpec& run, int) {
    return run.method != "quantspec" ? Base(run) : cell.dataset == "a" ? 10.0 : 40.0;
  });
  const Summary* ours = Find(report.summary, "quantspec");
  EXPECT_EQ(ours->n, 2);
  EXPECT_NEAR(*ours->speedup.bf16, 2, 1e-12);  // of 1 and 4
  EXPECT_NEAR(ours->bf16_ci95->low, 1, 1e-12);
  EXPECT_NEAR(ours->bf16_ci95->high, 4, 1e-12);
}

TEST_F(Reports, GammaIsChosenOnTheOtherExamples) {
  // On text a gamma 1 is fastest, on b gamma 3: chosen on the other text, each gets the worse one.
  const Report report = Make({"a", "b"}, {1, 3}, 1, [](const Cell& cell, const RunSpec& run, int) {
    if (run.method != "quantspec") return Base(run);
    return (cell.dataset == "a") == (run.gamma == 1) ? 40.0 : 10.0;
  });
  const Summary* ours = Find(report.chosen, "quantspec");
  EXPECT_EQ(ours->n, 2);
  EXPECT_TRUE(ours->is_held_out);
  EXPECT_EQ(ours->gammas, (std::vector<int>{1, 3}));
  EXPECT_NEAR(*ours->speedup.bf16, 1, 1e-12);
}

TEST_F(Reports, HalvesOfTheExamplesHaveEveryText) {
  // Gamma 1 is fastest for text a, gamma 3 for b: halves by text would choose the wrong one.
  const Report report = Make(
      {"a", "b"}, {1, 3}, 1,
      [](const Cell& cell, const RunSpec& run, int) {
        if (run.method != "quantspec") return Base(run);
        if (cell.dataset == "a") return run.gamma == 1 ? 40.0 : 20.0;
        return run.gamma == 1 ? 15.0 : 20.0;
      },
      2);
  const Summary* ours = Find(report.chosen, "quantspec");
  EXPECT_EQ(ours->n, 4);
  EXPECT_TRUE(ours->is_held_out);
  EXPECT_EQ(ours->gammas, (std::vector<int>{1}));
}

TEST_F(Reports, OneExampleProvesNothing) {
  const Report report = Make({"a"}, {2}, 1, [](const Cell&, const RunSpec& run, int) {
    return run.method == "quantspec" ? 18.0 : run.method == "snapkv" ? 15.0 : Base(run);
  });
  EXPECT_FALSE(Find(report.chosen, "quantspec")->bf16_ci95.has_value());
  EXPECT_FALSE(Find(report.chosen, "quantspec")->acceptance_ci95.has_value());
  EXPECT_NE(VerdictText(report).find("(one example: no interval)"), std::string::npos);
  EXPECT_TRUE(ReportJson(report)["summary"][0]["ci95"]["bf16"].is_null());
}

TEST_F(Reports, AGammaChosenOnItsOwnExampleIsMarked) {
  const Report report = Make({"a"}, {1, 3}, 1, [](const Cell&, const RunSpec& run, int) {
    return run.method == "quantspec" ? 10.0 * run.gamma : Base(run);
  });
  const Summary* ours = Find(report.chosen, "quantspec");
  EXPECT_FALSE(ours->is_held_out);
  EXPECT_EQ(ours->gamma, 3);
  EXPECT_NE(ReportText(report).find("3 (!)"), std::string::npos);
}

TEST_F(Reports, SayPlainlyWhereQuantSpecIsNotAbove) {
  const Report slow = Make({"a"}, {2}, 1, [](const Cell&, const RunSpec& run, int) {
    return run.method == "quantspec" ? 12.0 : run.method == "snapkv" ? 15.0 : Base(run);
  });
  EXPECT_NE(VerdictText(slow).find("**not above** SnapKV"), std::string::npos);
  EXPECT_NE(VerdictText(slow).find("accepted 80.0 %"), std::string::npos);
  const Report fast = Make({"a"}, {2}, 1, [](const Cell&, const RunSpec& run, int) {
    return run.method == "quantspec" ? 18.0 : run.method == "snapkv" ? 15.0 : Base(run);
  });
  EXPECT_EQ(VerdictText(fast).find("not above"), std::string::npos);
  EXPECT_NE(VerdictText(fast).find("above SnapKV"), std::string::npos);
}

TEST_F(Reports, HoldTheFieldsThatScriptsRelyOn) {
  const Report report =
      Make({"a"}, {2}, 1, [](const Cell&, const RunSpec& run, int) { return Base(run); });
  const Json json = ReportJson(report);
  for (const char* key : {"table", "model", "dataset", "context", "example", "method", "gamma",
                          "weights", "cache", "acceptance", "tau", "tokens", "speedup",
                          "memory_bytes", "peak_rss_bytes", "identical", "rep4", "score"}) {
    EXPECT_TRUE(json["cells"][0].contains(key)) << key;
  }
  for (const char* key :
       {"method", "context", "gamma", "n", "acceptance", "tau", "speedup", "ci95"}) {
    EXPECT_TRUE(json["summary"][0].contains(key)) << key;
  }
  for (const char* key : {"bf16", "own", "int4"}) {
    EXPECT_TRUE(json["summary"][0]["speedup"].contains(key)) << key;
  }
}

TEST_F(Reports, BeginWithShortLinesThatSayWhatMatters) {
  const Report report = Make({"a", "b"}, {2}, 1, [](const Cell& cell, const RunSpec& run, int) {
    const double speed = run.method == "quantspec" ? 2 : run.method == "snapkv" ? 3 : 1;
    return Base(run) * speed * (cell.dataset == "a" ? 1 : 2);
  });
  std::istringstream lines(ReportText(report));
  std::string head, line;
  for (int i = 0; i < 30 && std::getline(lines, line) && line.rfind("## How", 0) != 0; ++i) {
    EXPECT_LE(line.size(), 120u) << line;
    head += line + "\n";
  }
  EXPECT_NE(head.find("2 of 2 planned cells"), std::string::npos);
  EXPECT_NE(head.find("Every run was made once an example"), std::string::npos);
  EXPECT_NE(head.find("4000 tokens, times plain decoding with 16 bits (n = 2)"), std::string::npos);
  EXPECT_NE(head.find("**not above** SnapKV"), std::string::npos);
}

TEST_F(Reports, NameTheMachineAndMissingCells) {
  Report report =
      Make({"a", "b"}, {2}, 1, [](const Cell&, const RunSpec& run, int) { return Base(run); });
  report = MakeReport(plan_, {report.cells[0]});
  const std::string text = ReportText(report);
  EXPECT_NE(text.find("1 of 2 planned cells, on C (avx2, 2 threads)"), std::string::npos);
  EXPECT_NE(text.find("1.17; 93.6 % (4k)"), std::string::npos);  // SnapKV in the paper
}

TEST(PaperValues, AreFoundByTheNearestContext) {
  const PaperRange near = NearestPaper(PaperTable4(), "quantspec-all", 8000);
  EXPECT_EQ(near.context, 8192);
  EXPECT_EQ(near.low_speedup, 1.44);
  EXPECT_EQ(near.high_speedup, 1.61);
  EXPECT_EQ(near.low_acceptance, 89.88);
  EXPECT_EQ(NearestPaper(PaperTable4(), "streaming", 1000).context, 4096);
  // Out of memory there, so the next one.
  EXPECT_EQ(NearestPaper(PaperTable4(), "snapkv", 128000).context, 65536);
  EXPECT_EQ(NearestPaper(PaperTable4(), "pillar", 4096).context, 0);
}

TEST(EmptyReport, SaysSo) {
  const Report report = MakeReport({}, {});
  EXPECT_NE(ReportText(report).find("Not computed."), std::string::npos);
  EXPECT_TRUE(MakePlots(report).empty());
}

}  // namespace
}  // namespace quantspec::eval
