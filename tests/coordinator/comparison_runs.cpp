#include "comparison_runs.hpp"

#include "coordinator/run_bill.hpp"

namespace regatta::test {

namespace {

constexpr std::int64_t kTrainCount = 60'000, kTestCount = 10'000;
constexpr double kStartupS = 1, kShutdownS = 1;

record::Epoch epoch(int number, double wall_s, double accuracy) {
  record::Epoch made{
      .epoch = number, .samples = kTrainCount, .wall_s = wall_s, .train_s = 0.75 * wall_s, .test_accuracy = accuracy};
  made.seconds[Phase::kCompute] = 0.5 * wall_s;
  made.seconds[Phase::kDataWait] = 0.25 * wall_s;
  made.seconds[Phase::kEvaluation] = 0.25 * wall_s;
  return made;
}

}  // namespace

Price RunRecipe::stated_price(const std::string& usd, Billing billing) {
  return {.usd_per_node_hour = *parse_usd(usd), .billing = billing, .source = "a test's own"};
}

TrainingSpec RunRecipe::training_of_four_epochs() {
  TrainingSpec training{.name = "mnist-cnn"};
  training.model.channels = {8, 16};
  training.train.batch = 128;
  training.train.optimizer.lr = 0.05;
  training.stop.epochs = 4;
  return training;
}

RunState make_run(const RunRecipe& recipe) {
  RunState run{.id = RunId{recipe.configuration + std::to_string(recipe.repeat) + recipe.comparison},
               .comparison = ComparisonId{recipe.comparison},
               .configuration = recipe.configuration,
               .pool = recipe.pool,
               .backend = "mpi",
               .precision = to_text(recipe.training.train.precision),
               .dataset_key = "mnist",
               .repeat = recipe.repeat,
               .nodes = recipe.nodes,
               .ranks = recipe.ranks,
               .threads = recipe.threads,
               .cores_per_node = recipe.cores_per_node,
               .contended = recipe.contended,
               .price = recipe.price,
               .training = to_json(recipe.training),
               .test_count = kTestCount,
               .status = recipe.status};
  AttemptState attempt{
      .start = record::Start{.precision = run.precision}, .held_s = kStartupS + kShutdownS, .startup_s = kStartupS};
  if (!recipe.early.empty()) attempt.early = record::Early{recipe.early};
  for (const double wall_s : recipe.walls) {
    attempt.epochs.push_back(epoch(static_cast<int>(attempt.epochs.size()) + 1, wall_s, recipe.accuracy));
    *attempt.held_s += wall_s;
  }
  if (recipe.status == RunStatus::kDone)
    attempt.exit_code = 0;
  else
    run.reason = "rank 0 killed by signal 9";
  run.attempts.push_back(attempt);
  if (run.price) run.bill = run_bill(run, *run.price);
  return run;
}

Comparison compare_recipes(const std::vector<RunRecipe>& recipes, const std::map<std::string, NanoUsd>& reprice) {
  std::vector<RunState> runs;
  for (const auto& recipe : recipes) runs.push_back(make_run(recipe));
  std::vector<const RunState*> pointers;
  for (const auto& run : runs) pointers.push_back(&run);
  return compare(pointers, reprice);
}

RunRecipe named(const std::string& configuration, RunRecipe recipe) {
  recipe.configuration = configuration;
  return recipe;
}

}  // namespace regatta::test
