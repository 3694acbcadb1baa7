#include "coordinator/ledger.hpp"

#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <set>
#include <system_error>
#include <thread>

#include "coordinator/sqlite.hpp"

// Every writer takes the write lock first (BEGIN IMMEDIATE), so what it reads (the owner, the next source_seq) is still
// true when it writes. Events that are there already are found before they are inserted, not by a failed INSERT: so seq
// has no gaps, and a reader that meets one knows that the file lost rows. With synchronous=FULL, what append() returned
// from survives a power cut.

namespace regatta {

namespace {

constexpr std::int64_t kApplicationId = 0x52475454;  // "RGTT"
constexpr std::int64_t kUserVersion = 1;

constexpr const char* kSchema = R"(
  CREATE TABLE events(
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at_us INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    source TEXT NOT NULL,
    source_seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    schema INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE(run_id, attempt, source, source_seq)))";

constexpr const char* kColumns = "seq, at_us, run_id, attempt, source, source_seq, kind, schema, body";

/// Shared memory between processes, which WAL needs, does not work across hosts. Names from statfs(2) and the kernel's
/// magic.h; FUSE is here because sshfs is one.
bool on_network_file_system(const std::filesystem::path& folder) {
  constexpr std::array<std::uint32_t, 13> kMagics = {
      0x6969,     0x517B,     0xFF534D42, 0xFE534D42, 0x65735546, 0x0BD00BD0, 0x47504653,
      0x00C36400, 0x19830326, 0x5346414F, 0x01021997, 0x20030528, 0xAAD7AAEA};  // NFS SMB CIFS SMB2 FUSE Lustre GPFS
                                                                                // Ceph BeeGFS AFS 9P OrangeFS PanFS
  struct statfs info {};
  if (::statfs(folder.c_str(), &info) != 0) return false;
  return std::find(kMagics.begin(), kMagics.end(), static_cast<std::uint32_t>(info.f_type)) != kMagics.end();
}

std::filesystem::path made_folder_of(const std::filesystem::path& file) {
  auto folder = std::filesystem::absolute(file).parent_path();
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    throw IoError(folder.string() + ": cannot create the ledger's folder: " + error.message() +
                  "\n  name another place with $REGATTA_LEDGER or --home");
  return folder;
}

Event event_of(const sqlite::Statement& row, const std::filesystem::path& path) {
  Event event;
  event.seq = row.integer(0);
  event.at = Timestamp(std::chrono::microseconds(row.integer(1)));
  event.run_id = row.text(2);
  event.attempt = static_cast<int>(row.integer(3));
  event.source = row.text(4);
  event.source_seq = row.integer(5);
  event.kind = row.text(6);
  event.schema = static_cast<int>(row.integer(7));
  event.body = parse_json(row.text(8), path.string() + ": event " + std::to_string(event.seq));
  return event;
}

}  // namespace

struct Ledger::Impl {
  Impl(const std::filesystem::path& file, Access access)
      : folder(access == Access::kWrite ? made_folder_of(file) : std::filesystem::absolute(file).parent_path()),
        was_there(std::filesystem::exists(file)),
        database(file, access == Access::kWrite ? sqlite::Database::Access::kWrite : sqlite::Database::Access::kRead) {
    fresh = check_identity();
    if (access == Access::kWrite) {
      choose_journal_mode();
      database.run("PRAGMA synchronous=FULL");
      if (fresh) create();
      if (fresh && was_there) look_for_runs();
      fresh = false;
    }
    check_size();
  }

  /// A file that was cut to nothing looks like a new one; the runs beside it do not.
  void look_for_runs() {
    std::error_code missing;
    const std::filesystem::directory_iterator runs(folder / "runs", missing);
    if (!missing && runs != std::filesystem::directory_iterator())
      notice = "note: " + database.path().string() + " is empty, but " + (folder / "runs").string() +
               " is not: `regatta import` takes its runs in again";
  }

  /// True when the file is new and empty. Changes nothing, so that a foreign file stays as it was.
  bool check_identity() const {
    const sqlite::Transaction reading(database, sqlite::Transaction::Kind::kRead);
    const std::int64_t application = database.number("PRAGMA application_id");
    const std::int64_t version = database.number("PRAGMA user_version");
    if (application == 0 && version == 0 && database.number("SELECT count(*) FROM sqlite_master") == 0) return true;
    if (application != kApplicationId)
      throw IoError(database.path().string() + ": this SQLite file belongs to another application (application_id " +
                    std::to_string(application) + ", expected " + std::to_string(kApplicationId) +
                    ")\n  name another ledger with $REGATTA_LEDGER or --home");
    if (version > kUserVersion)
      throw IoError(database.path().string() + ": this ledger was written by a newer Regatta (user_version " +
                    std::to_string(version) + ", this one reads up to " + std::to_string(kUserVersion) +
                    ")\n  use the newer version, or name another ledger with $REGATTA_LEDGER");
    return false;
  }

  void choose_journal_mode() {
    const bool network = on_network_file_system(folder);
    const std::string wanted = network ? "delete" : "wal";
    if (database.text("PRAGMA journal_mode") == wanted) return;
    const std::string now = set_journal_mode(network ? "PRAGMA journal_mode=DELETE" : "PRAGMA journal_mode=WAL");
    if (!fresh || now == "wal") return;
    notice = "note: " + database.path().string() + " uses SQLite's rollback journal, because " +
             (network ? "it lies on a network file system" : "write-ahead logging is not possible there") +
             "; $REGATTA_LEDGER moves it to a local disk";
  }

  /// SQLite does not call its busy handler for a change of mode, so this waits itself.
  std::string set_journal_mode(const char* sql) const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    for (;;) {
      try {
        return database.text(sql);
      } catch (const IoError&) {
        if (std::chrono::steady_clock::now() > deadline) throw;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    }
  }

  /// Two processes may come here at once: the second finds the first one's work.
  void create() const {
    sqlite::Transaction writing(database, sqlite::Transaction::Kind::kWrite);
    if (database.number("SELECT count(*) FROM sqlite_master") == 0) {
      database.run(kSchema);
      database.run(("PRAGMA application_id=" + std::to_string(kApplicationId)).c_str());
      database.run(("PRAGMA user_version=" + std::to_string(kUserVersion)).c_str());
    }
    writing.commit();
  }

  /// SQLite reads a page that was cut short as zeros; only the size tells. With a write-ahead log in use, pages may
  /// still lie there, and rows are checked one by one anyway.
  void check_size() const {
    sqlite::Transaction reading(database, sqlite::Transaction::Kind::kRead);
    const auto pages = database.number("PRAGMA page_count");
    const auto page_bytes = database.number("PRAGMA page_size");
    std::error_code error;
    const auto bytes = static_cast<std::int64_t>(std::filesystem::file_size(database.path(), error));
    const auto log = std::filesystem::file_size(database.path().string() + "-wal", error);
    const bool log_in_use = !error && log > 0;
    if (!log_in_use && (bytes % page_bytes != 0 || bytes < pages * page_bytes))
      throw IoError(database.path().string() + ": the ledger was cut short: expected " +
                    std::to_string(pages * page_bytes) + " bytes, found " + std::to_string(bytes) +
                    "\n  restore a copy, or move it away and import the runs again");
    reading.commit();
  }

  void check_owner(const std::string& run_id, const Owner& as) {
    sqlite::Statement latest(
        database, "SELECT body FROM events WHERE run_id=?1 AND attempt=0 AND kind='owner' ORDER BY seq DESC LIMIT 1");
    if (!latest.bind(1, run_id).step()) return;
    const Owner owner = owner_from_json(parse_json(latest.text(0), "owner of run " + run_id));
    if (owner == as) return;
    throw IoError("run " + run_id + " belongs to process " + std::to_string(owner.pid) + " on " + owner.host +
                  " (fence " + std::to_string(owner.fence) + "), not to process " + std::to_string(as.pid) +
                  " (fence " + std::to_string(as.fence) +
                  "): nothing was recorded\n  it was adopted; see `regatta show " + run_id + "`");
  }

  std::int64_t next_source_seq(const Event& event) {
    sqlite::Statement highest(
        database, "SELECT coalesce(max(source_seq), 0) FROM events WHERE run_id=?1 AND attempt=?2 AND source=?3");
    highest.bind(1, event.run_id).bind(2, event.attempt).bind(3, event.source).step();
    return highest.integer(0) + 1;
  }

  bool is_there(const Event& event) {
    sqlite::Statement same(database,
                           "SELECT 1 FROM events WHERE run_id=?1 AND attempt=?2 AND source=?3 AND source_seq=?4");
    return same.bind(1, event.run_id).bind(2, event.attempt).bind(3, event.source).bind(4, event.source_seq).step();
  }

  void insert(const Event& event, std::int64_t source_seq) {
    sqlite::Statement row(database,
                          "INSERT INTO events(at_us, run_id, attempt, source, source_seq, kind, schema, body) "
                          "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
    row.bind(1, event.at.time_since_epoch().count()).bind(2, event.run_id).bind(3, event.attempt);
    row.bind(4, event.source).bind(5, source_seq).bind(6, event.kind).bind(7, event.schema);
    row.bind(8, event.body.dump(-1, ' ', false, Json::error_handler_t::replace)).step();
  }

  std::filesystem::path folder;
  bool was_there, fresh = false;  ///< fresh: without a table yet
  sqlite::Database database;
  std::string notice;
};

Ledger::Ledger(const std::filesystem::path& file, Access access) : impl_(std::make_unique<Impl>(file, access)) {}
Ledger::~Ledger() = default;

const std::string& Ledger::notice() const {
  return impl_->notice;
}

int Ledger::append(const std::vector<Event>& events, const std::optional<Owner>& as) {
  if (events.empty()) return 0;
  sqlite::Transaction writing(impl_->database, sqlite::Transaction::Kind::kWrite);
  if (as) {
    std::set<std::string> runs;
    for (const auto& event : events) runs.insert(event.run_id);
    for (const auto& run : runs) impl_->check_owner(run, *as);
  }
  int added = 0;
  for (const auto& event : events) {
    if (event.source_seq != 0 && impl_->is_there(event)) continue;
    impl_->insert(event, event.source_seq != 0 ? event.source_seq : impl_->next_source_seq(event));
    ++added;
  }
  writing.commit();
  return added;
}

std::vector<Event> Ledger::events(std::int64_t after) const {
  const auto& database = impl_->database;
  if (impl_->fresh) return {};
  sqlite::Transaction reading(database, sqlite::Transaction::Kind::kRead);
  const std::string sql = std::string("SELECT ") + kColumns + " FROM events WHERE seq > ?1 ORDER BY seq";
  sqlite::Statement rows(database, sql.c_str());
  rows.bind(1, after);
  std::vector<Event> found;
  std::int64_t last = after;
  while (rows.step()) {
    found.push_back(event_of(rows, database.path()));
    if (found.back().seq != ++last)
      throw IoError(database.path().string() + ": event " + std::to_string(last) +
                    " is missing: the ledger is damaged\n  " +
                    "restore a copy, or move it away and import the runs again");
  }
  const auto newest = database.number("SELECT seq FROM sqlite_sequence WHERE name='events'");
  if (last < newest)
    throw IoError(database.path().string() + ": expected " + std::to_string(newest) + " events, found " +
                  std::to_string(last) +
                  ": the ledger is damaged\n  restore a copy, or move it away and import the runs again");
  reading.commit();
  return found;
}

std::vector<Event> Ledger::events_of(const std::string& run_id) const {
  const auto& database = impl_->database;
  const std::string sql = std::string("SELECT ") + kColumns + " FROM events WHERE run_id=?1 ORDER BY seq";
  sqlite::Statement rows(database, sql.c_str());
  rows.bind(1, run_id);
  std::vector<Event> found;
  while (rows.step()) found.push_back(event_of(rows, database.path()));
  return found;
}

State load_state(const Ledger& ledger) {
  State state;
  for (const auto& event : ledger.events()) apply(state, event);
  return state;
}

}  // namespace regatta
