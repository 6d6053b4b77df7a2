// The tables that the app has had, as SQLAlchemy creates them in SQLite and in PostgreSQL; all that
// the tool looks at is in them (names, types, keys), in our own layout.
#pragma once

#include <array>
#include <string>
#include <utility>

#include "support/app_database.hpp"

namespace calib::test {

inline constexpr const char* schema_june_2025 = R"sql(
CREATE TABLE sessions (
  id VARCHAR NOT NULL, created_at VARCHAR, PRIMARY KEY (id));
CREATE TABLE calibration_images (
  id INTEGER NOT NULL, session_id VARCHAR, image_path VARCHAR, PRIMARY KEY (id),
  FOREIGN KEY(session_id) REFERENCES sessions (id));
CREATE TABLE calibration_results (
  id INTEGER NOT NULL, session_id VARCHAR, camera_matrix VARCHAR,
  distortion_coefficients VARCHAR, reprojection_error FLOAT, pattern_type VARCHAR,
  columns INTEGER, rows INTEGER, square_size FLOAT, PRIMARY KEY (id), UNIQUE (session_id),
  FOREIGN KEY(session_id) REFERENCES sessions (id));
CREATE TABLE calibration_parameters (
  id INTEGER NOT NULL, session_id VARCHAR, calibration_type VARCHAR, camera_model VARCHAR,
  pattern_type VARCHAR, checkerboard_columns INTEGER, checkerboard_rows INTEGER,
  square_size FLOAT, run_optimization BOOLEAN, marker_size FLOAT, aruco_dict_name VARCHAR,
  created_at DATETIME, updated_at DATETIME, PRIMARY KEY (id), UNIQUE (session_id),
  FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE);
)sql";

inline constexpr const char* schema_october_2025 = R"sql(
CREATE TABLE sessions (
  id VARCHAR NOT NULL, images_dir VARCHAR NOT NULL, created_at DATETIME, PRIMARY KEY (id));
CREATE TABLE calibration_images (
  id INTEGER NOT NULL, session_id VARCHAR, image_path VARCHAR NOT NULL, uploaded_at DATETIME,
  PRIMARY KEY (id), FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE);
CREATE TABLE calibration_results (
  id INTEGER NOT NULL, session_id VARCHAR, camera_matrix VARCHAR NOT NULL,
  distortion_coefficients VARCHAR NOT NULL, reprojection_error FLOAT NOT NULL,
  pattern_type VARCHAR NOT NULL, columns INTEGER NOT NULL, rows INTEGER NOT NULL,
  square_size FLOAT NOT NULL, created_at DATETIME, updated_at DATETIME, PRIMARY KEY (id),
  UNIQUE (session_id), FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE);
CREATE TABLE calibration_parameters (
  id INTEGER NOT NULL, session_id VARCHAR, calibration_type VARCHAR, camera_model VARCHAR,
  pattern_type VARCHAR, checkerboard_columns INTEGER, checkerboard_rows INTEGER,
  square_size FLOAT, run_optimization BOOLEAN, marker_size FLOAT, aruco_dict_name VARCHAR,
  created_at DATETIME, updated_at DATETIME, PRIMARY KEY (id), UNIQUE (session_id),
  FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE);
)sql";

inline constexpr const char* schema_current = R"sql(
CREATE TABLE sessions (
  id VARCHAR NOT NULL, images_dir VARCHAR NOT NULL, created_at DATETIME, PRIMARY KEY (id));
CREATE TABLE calibration_images (
  id INTEGER NOT NULL, session_id VARCHAR, image_path VARCHAR NOT NULL, uploaded_at DATETIME,
  PRIMARY KEY (id), FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE);
CREATE TABLE calibration_results (
  id INTEGER NOT NULL, session_id VARCHAR, camera_matrix VARCHAR NOT NULL,
  distortion_coefficients VARCHAR NOT NULL, reprojection_error FLOAT NOT NULL,
  pattern_type VARCHAR NOT NULL, columns INTEGER NOT NULL, rows INTEGER NOT NULL,
  square_size FLOAT NOT NULL, created_at DATETIME, updated_at DATETIME, PRIMARY KEY (id),
  UNIQUE (session_id), FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE);
CREATE TABLE calibration_parameters (
  id INTEGER NOT NULL, session_id VARCHAR, calibration_type VARCHAR, camera_model VARCHAR,
  pattern_type VARCHAR, checkerboard_columns INTEGER, checkerboard_rows INTEGER,
  square_size FLOAT, run_optimization BOOLEAN, marker_size FLOAT, aruco_dict_name VARCHAR,
  created_at DATETIME, updated_at DATETIME, PRIMARY KEY (id), UNIQUE (session_id),
  FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE);
CREATE TABLE stereo_calibration_results (
  id INTEGER NOT NULL, session_id VARCHAR, left_camera_matrix VARCHAR NOT NULL,
  left_distortion_coefficients VARCHAR NOT NULL, right_camera_matrix VARCHAR NOT NULL,
  right_distortion_coefficients VARCHAR NOT NULL, rotation_matrix VARCHAR NOT NULL,
  translation_vector VARCHAR NOT NULL, essential_matrix VARCHAR NOT NULL,
  fundamental_matrix VARCHAR NOT NULL, rectification_matrix_left VARCHAR NOT NULL,
  rectification_matrix_right VARCHAR NOT NULL, projection_matrix_left VARCHAR NOT NULL,
  projection_matrix_right VARCHAR NOT NULL, disparity_to_depth_mapping VARCHAR NOT NULL,
  reprojection_error FLOAT NOT NULL, pattern_type VARCHAR NOT NULL, columns INTEGER NOT NULL,
  rows INTEGER NOT NULL, square_size FLOAT NOT NULL, created_at DATETIME, updated_at DATETIME,
  PRIMARY KEY (id), UNIQUE (session_id),
  FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE);
CREATE TABLE live_capture_sessions (
  id VARCHAR NOT NULL, session_id VARCHAR, is_active BOOLEAN, auto_capture_enabled BOOLEAN,
  quality_threshold FLOAT, created_at DATETIME, PRIMARY KEY (id),
  FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE);
CREATE TABLE calibration_quality_metrics (
  id INTEGER NOT NULL, session_id VARCHAR, coverage_score FLOAT NOT NULL,
  center_coverage FLOAT NOT NULL, corner_coverage FLOAT NOT NULL, edge_coverage FLOAT NOT NULL,
  pose_diversity_score FLOAT NOT NULL, angle_diversity FLOAT NOT NULL,
  distance_diversity FLOAT NOT NULL, recommendations VARCHAR NOT NULL, created_at DATETIME,
  updated_at DATETIME, PRIMARY KEY (id), UNIQUE (session_id),
  FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE);
)sql";

inline const char* tables_of(AppSchema schema) {
  return schema == AppSchema::june_2025      ? schema_june_2025
         : schema == AppSchema::october_2025 ? schema_october_2025
                                             : schema_current;
}

/// The same models in PostgreSQL: SQLAlchemy writes two of their types another way there.
inline std::string postgresql_tables_of(AppSchema schema) {
  std::string tables = tables_of(schema);
  using Spelling = std::pair<std::string, std::string>;
  const std::array<Spelling, 2> spellings{Spelling{"id INTEGER NOT NULL", "id SERIAL NOT NULL"},
                                          Spelling{"DATETIME", "TIMESTAMP WITHOUT TIME ZONE"}};
  for (const auto& [sqlite, postgresql] : spellings) {
    for (auto at = tables.find(sqlite); at != std::string::npos; at = tables.find(sqlite, at + 1)) {
      tables.replace(at, sqlite.size(), postgresql);
    }
  }
  return tables;
}

}  // namespace calib::test
