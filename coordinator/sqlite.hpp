#pragma once
// SQLite's C API behind three small owners. Its error codes are translated here, once, into IoError.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace regatta::sqlite {

/// One connection; one thread. Closes on destruction. Every failure is an IoError with the path and the next step.
class Database {
 public:
  /// kWrite opens or creates; a lock that another process holds is waited for, ten seconds at most. kRead opens what is
  /// there and leaves no trace: for files and folders that may not be written.
  enum class Access { kRead, kWrite };
  explicit Database(std::filesystem::path file, Access access = Access::kWrite);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  const std::filesystem::path& path() const { return path_; }
  sqlite3* handle() const { return handle_; }
  /// Statements without rows.
  void run(const char* sql) const;
  /// First column of the first row.
  std::int64_t number(const char* sql) const;
  std::string text(const char* sql) const;

 private:
  std::filesystem::path path_;
  sqlite3* handle_ = nullptr;
};

/// One prepared statement. Rows are read strictly: a column of another type than asked for (damage) is an IoError.
class Statement {
 public:
  Statement(const Database& database, const char* sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  /// Parameters count from 1. Text is copied.
  Statement& bind(int parameter, std::int64_t value);
  Statement& bind(int parameter, std::string_view value);
  /// True: a row is there. False: done, and ready for new parameters.
  bool step();
  std::int64_t integer(int column) const;
  std::string text(int column) const;

 private:
  const Database& database_;
  sqlite3_stmt* statement_ = nullptr;
};

/// BEGIN ... COMMIT; rolled back when it is destroyed without commit().
class Transaction {
 public:
  enum class Kind { kRead, kWrite };  ///< kWrite takes the write lock at once, so that what was read stays true
  Transaction(const Database& database, Kind kind);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  const Database& database_;
  bool open_ = true;
};

/// Passes SQLITE_OK, SQLITE_ROW and SQLITE_DONE; throws IoError "PATH: what: reason" and advice for every other code.
void check_sqlite(int code, const Database& database, const char* doing);

}  // namespace regatta::sqlite
