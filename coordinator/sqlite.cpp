#include "coordinator/sqlite.hpp"

#include <sqlite3.h>

#include <string>
#include <system_error>
#include <utility>

#include "common/error.hpp"

namespace regatta::sqlite {

namespace {

// Longer than any transaction of ours takes (milliseconds), shorter than a person's patience.
constexpr int kBusyTimeoutMs = 10'000;

const char* advice(int code) {
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "another process has held its lock for ten seconds; see which one with `fuser`, or try again";
    case SQLITE_NOTADB:
      return "this is not a Regatta ledger; move it away, or name another with $REGATTA_LEDGER";
    case SQLITE_CORRUPT:
      return "the file is damaged; restore a copy, or move it away and import the runs again";
    case SQLITE_FULL:
      return "the disk is full; nothing was recorded";
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
      return "the file and its folder must be writable; name another place with $REGATTA_LEDGER or --home";
    default:
      return "nothing was recorded";
  }
}

/// https://sqlite.org/uri.html: `immutable` does without the shared memory beside the file, which could not be made.
/// With rows in the write-ahead log somebody has it open: then its shared memory is there, and the log must be read.
std::string read_only_uri(const std::filesystem::path& file) {
  std::string uri = "file:";
  for (const char letter : std::filesystem::absolute(file).string()) {
    if (letter == '%' || letter == '?' || letter == '#')
      uri += letter == '%' ? "%25" : letter == '?' ? "%3f" : "%23";
    else
      uri += letter;
  }
  std::error_code missing;
  const auto log = std::filesystem::file_size(file.string() + "-wal", missing);
  return uri + (missing || log == 0 ? "?immutable=1" : "");
}

}  // namespace

void check_sqlite(int code, const Database& database, const char* doing) {
  if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) return;
  const std::string reason = database.handle() != nullptr && sqlite3_errcode(database.handle()) == (code & 0xff)
                                 ? sqlite3_errmsg(database.handle())
                                 : sqlite3_errstr(code);
  throw IoError(database.path().string() + ": cannot " + doing + ": " + reason + "\n  " + advice(code));
}

Database::Database(std::filesystem::path file, Access access) : path_(std::move(file)) {
  const int code =
      access == Access::kWrite
          ? sqlite3_open_v2(path_.c_str(), &handle_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr)
          : sqlite3_open_v2(read_only_uri(path_).c_str(), &handle_, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, nullptr);
  try {
    check_sqlite(code, *this, "open the ledger");
    check_sqlite(sqlite3_busy_timeout(handle_, kBusyTimeoutMs), *this, "set a timeout");
  } catch (...) {
    sqlite3_close(handle_);
    throw;
  }
}

Database::~Database() {
  sqlite3_close(handle_);
}

void Database::run(const char* sql) const {
  check_sqlite(sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr), *this, sql);
}

std::int64_t Database::number(const char* sql) const {
  Statement statement(*this, sql);
  return statement.step() ? statement.integer(0) : 0;
}

std::string Database::text(const char* sql) const {
  Statement statement(*this, sql);
  return statement.step() ? statement.text(0) : "";
}

Statement::Statement(const Database& database, const char* sql) : database_(database) {
  check_sqlite(sqlite3_prepare_v2(database.handle(), sql, -1, &statement_, nullptr), database, "read the ledger");
}

Statement::~Statement() {
  sqlite3_finalize(statement_);
}

Statement& Statement::bind(int parameter, std::int64_t value) {
  check_sqlite(sqlite3_bind_int64(statement_, parameter, value), database_, "bind a number");
  return *this;
}

Statement& Statement::bind(int parameter, std::string_view value) {
  check_sqlite(sqlite3_bind_text64(statement_, parameter, value.data(), value.size(), SQLITE_TRANSIENT, SQLITE_UTF8),
               database_, "bind a text");
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  sqlite3_reset(statement_);
  check_sqlite(code, database_, "use the ledger");
  return false;
}

std::int64_t Statement::integer(int column) const {
  if (sqlite3_column_type(statement_, column) != SQLITE_INTEGER)
    throw IoError(database_.path().string() + ": expected an integer in column " + std::to_string(column) + "\n  " +
                  advice(SQLITE_CORRUPT));
  return sqlite3_column_int64(statement_, column);
}

std::string Statement::text(int column) const {
  if (sqlite3_column_type(statement_, column) != SQLITE_TEXT)
    throw IoError(database_.path().string() + ": expected text in column " + std::to_string(column) + "\n  " +
                  advice(SQLITE_CORRUPT));
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

Transaction::Transaction(const Database& database, Kind kind) : database_(database) {
  database.run(kind == Kind::kWrite ? "BEGIN IMMEDIATE" : "BEGIN");
}

Transaction::~Transaction() {
  if (open_) sqlite3_exec(database_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void Transaction::commit() {
  database_.run("COMMIT");
  open_ = false;
}

}  // namespace regatta::sqlite
