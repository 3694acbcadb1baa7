#include "tests/cluster/bed/bed.hpp"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include "coordinator/ledger.hpp"

namespace regatta::test {

namespace fs = std::filesystem;

namespace {

const fs::path kScript = fs::path(REGATTA_SOURCE_DIR) / "tests/cluster/bed/bed.sh";

std::string why_not() {
  if (::geteuid() != 0) return "only root can make hosts of namespaces";
  for (const char* program : {"sshd", "ssh", "munged", "slurmctld", "slurmd", "sbatch", "tc"})
    if (run({"sh", "-c", std::string("PATH=$PATH:/usr/sbin:/sbin command -v ") + program}).exit_code != 0)
      return std::string("no ") + program + " here; ./dev test installs what the hosts need";
  const auto tried = run({"unshare", "--net", "--uts", "--mount", "--pid", "--ipc", "--fork", "--mount-proc", "true"});
  return tried.exit_code == 0 ? "" : "no namespaces here: " + tried.err;
}

}  // namespace

std::string no_bed_here() {
  static const std::string why = why_not();
  return why;
}

Bed::Bed(const BedOptions& options) {
  std::vector<std::string> more = {"--hosts", std::to_string(options.hosts),          "--share", REGATTA_SOURCE_DIR,
                                   "--share", fs::path(REGATTA_BIN_DIR).parent_path()};
  if (options.slurm) more.emplace_back("--slurm");
  process_ = std::make_unique<Process>(script("up", more), ProcessOptions{.environment = options.environment});
  wait_until([&] { return process_->out().starts_with("ready") || !process_->running(); }, std::chrono::seconds(60));
  if (!process_->out().starts_with("ready")) throw std::runtime_error("no bed: " + process_->err());
}

Bed::~Bed() = default;

std::vector<std::string> Bed::script(const std::string& verb, const std::vector<std::string>& more) const {
  std::vector<std::string> argv = {kScript, verb, folder()};
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

std::vector<std::string> Bed::on(const std::string& host, const std::vector<std::string>& argv) const {
  std::vector<std::string> more = {host};
  more.insert(more.end(), argv.begin(), argv.end());
  return script("exec", more);
}

ProcessResult Bed::run_on(const std::string& host, const std::vector<std::string>& argv, Millis deadline) const {
  return run(on(host, argv), {}, deadline);
}

void Bed::act(const std::string& verb, const std::string& host, const std::vector<std::string>& more) const {
  std::vector<std::string> arguments = {host};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const auto result = run(script(verb, arguments));
  if (result.exit_code != 0) throw std::runtime_error("bed.sh " + verb + " " + host + ": " + result.text());
}

void Bed::boot(const std::string& host) {
  booted_.push_back(std::make_unique<Process>(script("boot", {host})));
  const bool up = wait_until([&] { return fs::exists(folder() / (host + ".ready")); }, std::chrono::seconds(20));
  if (!up) throw std::runtime_error(host + " does not boot: " + booted_.back()->err());
}

std::string Bed::strays(const std::string& host) const {
  return run(script("strays", {host})).out;
}

std::string Bed::strays(const std::vector<std::string>& hosts, Millis deadline) const {
  std::string found;
  wait_until(
      [&] {
        found.clear();
        for (const auto& host : hosts)
          if (const std::string left = strays(host); !left.empty()) found += host + ": " + left;
        return found.empty();
      },
      deadline);
  return found;
}

void BedTest::SetUp() {
  if (const std::string why = no_bed_here(); !why.empty()) {
    const char* bed = std::getenv("REGATTA_BED");
    if (bed != nullptr && std::string(bed) == "required") FAIL() << why;
    GTEST_SKIP() << why;
  }
  bed_ = std::make_unique<Bed>(options_);
}

fs::path BedTest::binary(const std::string& name) {
  return fs::path(REGATTA_BIN_DIR) / name;
}

std::vector<std::string> BedTest::regatta_command(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), binary("regatta"));
  arguments.insert(arguments.end(), {"--home", home()});
  return bed_->on("n0", arguments);
}

ProcessResult BedTest::regatta(std::vector<std::string> arguments, Millis deadline) const {
  const ProcessOptions options{.environment = {{"NO_COLOR", "1"}, {"REGATTA_SLOTS", home().string() + ".slots"}}};
  return run(regatta_command(std::move(arguments)), options, deadline);
}

State BedTest::state() const {
  State all;
  for (const auto& event : Ledger(home() / "ledger.db").events()) apply(all, event);
  return all;
}

fs::path BedTest::write(const std::string& name, const std::string& text) const {
  const fs::path file = bed_->folder() / name;
  fs::create_directories(file.parent_path());
  std::ofstream(file) << text;
  return file;
}

}  // namespace regatta::test
