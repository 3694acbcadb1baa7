#include "coordinator/ledger.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/files.hpp"
#include "coordinator/home.hpp"
#include "samples.hpp"
#include "tests/support/process.hpp"

namespace regatta::test {
namespace {

using testing::HasSubstr;

/// Runs SQL on a file behind the ledger's back.
void sql(const std::filesystem::path& file, const std::string& text) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(file.c_str(), &database), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(database, text.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
  sqlite3_close(database);
}

std::string io_error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const IoError& error) {
    return error.what();
  }
  return "no IoError";
}

class LedgerTest : public testing::Test {
 protected:
  std::filesystem::path file() const { return folder_.path() / "home" / "ledger.db"; }
  TemporaryFolder folder_;
};

TEST_F(LedgerTest, GivesBackWhatWasAppendedAlsoToTheNextProcess) {
  const auto events = finished_run("R1", "C1");
  {
    Ledger ledger(file());
    EXPECT_EQ(ledger.append(events), static_cast<int>(events.size()));
  }
  const auto back = Ledger(file()).events();
  ASSERT_EQ(back.size(), events.size());
  for (std::size_t i = 0; i < back.size(); ++i) {
    EXPECT_EQ(back[i].seq, static_cast<std::int64_t>(i) + 1);
    EXPECT_EQ(back[i].at, events[i].at);
    EXPECT_EQ(back[i].run_id, events[i].run_id);
    EXPECT_EQ(back[i].attempt, events[i].attempt);
    EXPECT_EQ(back[i].source, events[i].source);
    EXPECT_EQ(back[i].kind, events[i].kind);
    EXPECT_EQ(back[i].schema, kEventSchema);
    EXPECT_EQ(back[i].body, events[i].body);
  }
}

TEST_F(LedgerTest, EventsAfterAndEventsOfSelect) {
  Ledger ledger(file());
  ledger.append(finished_run("R1", "C1"));
  ledger.append(finished_run("R2", "C2"));
  EXPECT_EQ(ledger.events(15).size(), 5U);
  EXPECT_EQ(ledger.events_of("R2").size(), 9U) << "all but the comparison";
  EXPECT_EQ(ledger.events_of("C2").size(), 1U);
}

TEST_F(LedgerTest, PassesOverWhatIsThereAndLeavesNoGap) {
  Ledger ledger(file());
  ledger.append({event("run", "R1", 0, run_body())});
  const std::vector<Event> lines = {journal("R1", 1, 1, start_record()), journal("R1", 1, 2, epoch_record(1, 4))};
  EXPECT_EQ(ledger.append(lines), 2);
  EXPECT_EQ(ledger.append(lines), 0);
  EXPECT_EQ(ledger.append({lines[1], journal("R1", 1, 3, stop_record())}), 1);
  const auto events = ledger.events();
  ASSERT_EQ(events.size(), 4U);
  EXPECT_EQ(events.back().seq, 4) << "an event that was passed over used up no seq";
}

TEST_F(LedgerTest, NumbersEventsByRunAttemptAndSourceWhereNoNumberIsGiven) {
  Ledger ledger(file());
  ledger.append({event("run", "R1", 0, run_body()), event("owner", "R1", 0, to_json(owner())),
                 event("launch", "R1", 1, Json::object()), event("run", "R2", 0, run_body())});
  std::vector<std::int64_t> numbers;
  for (const auto& one : ledger.events()) numbers.push_back(one.source_seq);
  EXPECT_EQ(numbers, (std::vector<std::int64_t>{1, 2, 1, 1}));
}

TEST_F(LedgerTest, RefusesAnOwnerWhoseRunWasAdopted) {
  Ledger ledger(file());
  const Owner first = owner(10, 0);
  const Owner second = owner(20, 1);
  ledger.append({event("run", "R1", 0, run_body()), event("owner", "R1", 0, to_json(first))}, first);
  EXPECT_EQ(ledger.append({event("note", "R1", 0, Json::object())}, first), 1);
  ledger.append({event("owner", "R1", 0, to_json(second))}, first);

  const auto refused = io_error_of([&] { ledger.append({event("note", "R1", 0, Json::object())}, first); });
  EXPECT_THAT(refused, HasSubstr("run R1 belongs to process 20 on elsewhere (fence 1), not to process 10 (fence 0)"));
  EXPECT_EQ(ledger.events().size(), 4U) << "nothing of a refused append is there";
  EXPECT_EQ(ledger.append({event("note", "R1", 0, Json::object())}, second), 1);

  Owner stale = second;
  stale.fence = 0;
  EXPECT_THAT(io_error_of([&] { ledger.append({event("note", "R1", 0, Json::object())}, stale); }),
              HasSubstr("adopted"))
      << "the same process with an older fence";
}

TEST_F(LedgerTest, ARefusedBatchLeavesNoneOfItsEvents) {
  Ledger ledger(file());
  ledger.append({event("run", "R1", 0, run_body()), event("owner", "R1", 0, to_json(owner(10)))});
  EXPECT_THROW(ledger.append({event("run", "R2", 0, run_body()), event("note", "R1", 0, Json::object())}, owner(11)),
               IoError);
  EXPECT_EQ(ledger.events().size(), 2U);
}

TEST_F(LedgerTest, TwoProcessesAppendAtOnceAndLoseNothing) {
  constexpr int kEach = 60;
  std::vector<pid_t> children;
  for (const std::string run : {"R1", "R2"}) {
    const pid_t child = ::fork();
    if (child == 0) {
      int code = 1;
      try {
        Ledger ledger(file());  // both create it, at once
        for (int i = 0; i < kEach; ++i)
          ledger.append({event("note", run, 0, {{"i", i}}), event("shared", "S", 0, Json::object())});
        code = 0;
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
      }
      ::_exit(code);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  const Ledger ledger(file());
  EXPECT_EQ(ledger.events().size(), 4U * kEach);
  EXPECT_EQ(ledger.events_of("S").size(), 2U * kEach) << "numbers of a shared source never collide";
  for (const std::string run : {"R1", "R2"}) {
    int expected = 0;
    for (const auto& one : ledger.events_of(run)) EXPECT_EQ(one.body.at("i"), expected++);
    EXPECT_EQ(expected, kEach);
  }
}

TEST_F(LedgerTest, RefusesANewerVersionAndLeavesItAlone) {
  { Ledger ledger(file()); }
  sql(file(), "PRAGMA user_version=2");
  const std::string before = read_file(file());
  EXPECT_THAT(io_error_of([&] { Ledger ledger(file()); }),
              HasSubstr("newer Regatta (user_version 2, this one reads up to 1)"));
  EXPECT_EQ(read_file(file()), before);
}

TEST_F(LedgerTest, RefusesForeignFilesAndLeavesThemAlone) {
  const auto text = folder_.write("notes.txt", std::string(2000, 'x'));
  EXPECT_THAT(io_error_of([&] { Ledger ledger(text); }), HasSubstr("not a Regatta ledger"));
  EXPECT_EQ(read_file(text), std::string(2000, 'x'));

  const auto other = folder_.path() / "browser.db";
  sql(other, "CREATE TABLE history(url TEXT)");
  const std::string before = read_file(other);
  EXPECT_THAT(io_error_of([&] { Ledger ledger(other); }), HasSubstr("belongs to another application"));
  EXPECT_EQ(read_file(other), before);
}

TEST_F(LedgerTest, SaysWhyAPlaceCannotHoldIt) {
  // /proc takes no files, not even root's.
  EXPECT_THAT(io_error_of([] { Ledger ledger("/proc/ledger.db"); }),
              HasSubstr("/proc/ledger.db: cannot open the ledger"));
  const auto plain = folder_.write("plain", "a file");
  const auto below = io_error_of([&] { Ledger ledger(plain / "ledger.db"); });
  EXPECT_THAT(below, HasSubstr(plain.string()));
  EXPECT_THAT(below, HasSubstr("$REGATTA_LEDGER"));
}

TEST_F(LedgerTest, IsWhatTheDesignSays) {
  { Ledger(file()).append({event("note", "R1", 0, Json::object())}); }
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(file().c_str(), &database), SQLITE_OK);
  std::vector<std::string> found;
  const auto collect = [](void* to, int, char** values, char**) {
    static_cast<std::vector<std::string>*>(to)->emplace_back(values[0]);
    return 0;
  };
  for (const char* query : {"PRAGMA application_id", "PRAGMA user_version", "PRAGMA journal_mode",
                            "SELECT name FROM pragma_table_info('events')"})
    ASSERT_EQ(sqlite3_exec(database, query, collect, &found, nullptr), SQLITE_OK);
  EXPECT_NE(sqlite3_exec(database,
                         "INSERT INTO events(at_us, run_id, attempt, source, source_seq, kind, schema, body) "
                         "SELECT at_us, run_id, attempt, source, source_seq, kind, schema, body FROM events",
                         nullptr, nullptr, nullptr),
            SQLITE_OK)
      << "UNIQUE(run_id, attempt, source, source_seq)";
  sqlite3_close(database);
  EXPECT_THAT(found, testing::ElementsAre("1380406356", "1", "wal", "seq", "at_us", "run_id", "attempt", "source",
                                          "source_seq", "kind", "schema", "body"));
}

TEST(EmptyLedger, BesideRunsIsSaid) {
  const TemporaryFolder folder;
  EXPECT_EQ(Ledger(folder.path() / "new.db").notice(), "");
  folder.write("runs/01JZR1AAAAAAAAAAAAAAAAAAAA/job.yaml", "");
  EXPECT_EQ(Ledger(folder.path() / "other.db").notice(), "") << "runs by hand come before the first ledger";
  folder.write("ledger.db", "");
  EXPECT_THAT(Ledger(folder.path() / "ledger.db").notice(), HasSubstr("is empty, but "));
  EXPECT_EQ(Ledger(folder.path() / "ledger.db").notice(), "") << "said once";
}

/// Variables as they were before, when it goes.
class KeptVariables {
 public:
  explicit KeptVariables(std::vector<const char*> names) {
    for (const char* name : names) {
      const char* value = std::getenv(name);
      values_.emplace_back(name, value == nullptr ? std::nullopt : std::optional<std::string>(value));
    }
  }
  ~KeptVariables() {
    for (const auto& [name, value] : values_) value ? ::setenv(name, value->c_str(), 1) : ::unsetenv(name);
  }
  KeptVariables(const KeptVariables&) = delete;
  KeptVariables& operator=(const KeptVariables&) = delete;

 private:
  std::vector<std::pair<const char*, std::optional<std::string>>> values_;
};

TEST(Home, OptionBeatsVariableBeatsDefault) {
  const KeptVariables kept({"REGATTA_LEDGER", "REGATTA_HOME", "HOME"});
  ::unsetenv("REGATTA_LEDGER");
  ::setenv("REGATTA_HOME", "/tmp/a", 1);
  EXPECT_EQ(find_home({}).ledger, "/tmp/a/ledger.db");
  EXPECT_EQ(find_home("/tmp/b").ledger, "/tmp/b/ledger.db");
  ::setenv("REGATTA_LEDGER", "/tmp/c.db", 1);
  EXPECT_EQ(find_home("/tmp/b").ledger, "/tmp/c.db");
  EXPECT_EQ(find_home("/tmp/b").folder, "/tmp/b");
  ::unsetenv("REGATTA_LEDGER");
  ::unsetenv("REGATTA_HOME");
  ::setenv("HOME", "/tmp/d", 1);
  EXPECT_EQ(find_home({}).folder, "/tmp/d/.regatta");
  ::unsetenv("HOME");
  EXPECT_THROW(find_home({}), ConfigError);
}

}  // namespace
}  // namespace regatta::test
