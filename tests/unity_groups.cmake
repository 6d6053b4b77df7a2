# Which tests are compiled as one, in less than half the time. Those of a group do not use each
# other's names in their anonymous namespaces. What is in none is compiled by itself.

# unit_tests
set_source_files_properties(
  unit/base/staged_name_test.cpp
  unit/base/timestamp_test.cpp
  unit/report/journal_priority_test.cpp
  unit/report/progress_line_test.cpp
  unit/report/text_report_test.cpp
  unit/store/sqlite/sqlite_leaked_test.cpp
  unit/store/sqlite/sqlite_new_sessions_test.cpp
  unit/store/sqlite/sqlite_unplaced_test.cpp
  unit/uploads/swap_attack_test.cpp
  unit/uploads/upload_dir_mount_test.cpp
  unit/webapp/dotenv_test.cpp
  PROPERTIES UNITY_GROUP unit_tests_1)
set_source_files_properties(
  unit/base/number_test.cpp
  unit/base/pace_test.cpp
  unit/plan/plan_proof_test.cpp
  unit/report/json_document_test.cpp
  unit/store/sqlite/sqlite_cascade_test.cpp
  unit/store/sqlite/sqlite_sessions_test.cpp
  unit/store/store_fixture.cpp
  unit/uploads/dir_fixture.cpp
  unit/uploads/ways_test.cpp
  unit/webapp/database_location_test.cpp
  unit/webapp/images_dir_test.cpp
  PROPERTIES UNITY_GROUP unit_tests_2)
set_source_files_properties(
  unit/plan/plan_directories_test.cpp
  unit/plan/plan_test.cpp
  unit/report/report_test.cpp
  unit/store/session_keys_test.cpp
  unit/store/sqlite/sqlite_concurrent_test.cpp
  unit/store/sqlite/sqlite_hold_test.cpp
  unit/store/sqlite/sqlite_visit_test.cpp
  unit/uploads/upload_dir_attack_test.cpp
  unit/uploads/upload_dir_beside_test.cpp
  unit/uploads/upload_dir_test.cpp
  PROPERTIES UNITY_GROUP unit_tests_3)
set_source_files_properties(
  unit/base/parallel_test.cpp
  unit/base/stop_test.cpp
  unit/cli/command_line_test.cpp
  unit/store/sqlite/sqlite_added_rows_test.cpp
  unit/store/sqlite/sqlite_cascade_property_test.cpp
  unit/store/sqlite/sqlite_store_test.cpp
  unit/store/sqlite/sqlite_transaction_test.cpp
  unit/uploads/tree_walk_test.cpp
  unit/uploads/upload_dir_stage_test.cpp
  unit/webapp/database_url_test.cpp
  PROPERTIES UNITY_GROUP unit_tests_4)
set_source_files_properties(
  unit/base/system_test.cpp
  unit/base/text_test.cpp
  unit/cli/settings_test.cpp
  unit/pass/lock_budget_test.cpp
  unit/pass/new_claims_test.cpp
  unit/plan/plan_property_test.cpp
  unit/report/metrics_file_test.cpp
  unit/report/metrics_text_test.cpp
  unit/store/sqlite/sqlite_reading_test.cpp
  unit/store/sqlite/sqlite_schema_test.cpp
  unit/uploads/tree_links_test.cpp
  PROPERTIES UNITY_GROUP unit_tests_5)
set_source_files_properties(
  unit/pass/agenda_test.cpp
  unit/pass/measure_test.cpp
  unit/pass/orphans_test.cpp
  unit/pass/purge_test.cpp
  unit/pass/recovery_test.cpp
  unit/pass/slice_test.cpp
  unit/pass/slices_test.cpp
  PROPERTIES UNITY_GROUP unit_tests_6)
# tool_tests
set_source_files_properties(
  tool/never_touched/hostile_database_test.cpp
  tool/one_pass/dry_run_test.cpp
  tool/one_pass/race_app_test.cpp
  tool/one_pass/rollback_journal_test.cpp
  tool/one_pass/signal_test.cpp
  tool/one_pass/slice_sync_test.cpp
  tool/one_pass/vast_tree_test.cpp
  tool/what_goes/sizes_test.cpp
  PROPERTIES UNITY_GROUP tool_tests_1)
set_source_files_properties(
  tool/command_line/ask_test.cpp
  tool/command_line/postgresql_absent_test.cpp
  tool/never_touched/hung_mount_test.cpp
  tool/never_touched/untouched_claims_test.cpp
  tool/one_pass/hot_journal_test.cpp
  tool/one_pass/lock_test.cpp
  tool/one_pass/slow_folder_test.cpp
  tool/one_pass/permissions_test.cpp
  tool/one_pass/vacuum_test.cpp
  tool/output/output_test.cpp
  PROPERTIES UNITY_GROUP tool_tests_2)
set_source_files_properties(
  tool/command_line/documentation_test.cpp
  tool/never_touched/replaced_test.cpp
  tool/one_pass/bounded_test.cpp
  tool/one_pass/crowd_test.cpp
  tool/one_pass/fault_test.cpp
  tool/one_pass/marks_test.cpp
  tool/what_goes/proven_test.cpp
  tool/what_goes/selection_test.cpp
  PROPERTIES UNITY_GROUP tool_tests_3)
set_source_files_properties(
  tool/command_line/database_choice_test.cpp
  tool/never_touched/untouched_database_test.cpp
  tool/never_touched/untouched_images_dir_test.cpp
  tool/never_touched/untouched_mounts_test.cpp
  tool/output/noise_test.cpp
  tool/output/streams_test.cpp
  tool/what_goes/cascade_test.cpp
  tool/what_goes/key_types_test.cpp
  PROPERTIES UNITY_GROUP tool_tests_4)
set_source_files_properties(
  support/busy_app.cpp
  tool/command_line/options_tool_test.cpp
  tool/never_touched/swap_tool_test.cpp
  tool/never_touched/untouched_links_test.cpp
  tool/one_pass/company_test.cpp
  tool/one_pass/own_log_test.cpp
  tool/one_pass/race_folder_test.cpp
  tool/output/json_test.cpp
  tool/output/names_tool_test.cpp
  PROPERTIES UNITY_GROUP tool_tests_5)
set_source_files_properties(
  tool/never_touched/another_database_test.cpp
  tool/never_touched/in_use_test.cpp
  tool/never_touched/untouched_ways_test.cpp
  tool/one_pass/crash_recovery_test.cpp
  tool/one_pass/crash_test.cpp
  tool/output/audit_test.cpp
  tool/output/metrics_tool_test.cpp
  tool/what_goes/cascade_backlog_test.cpp
  tool/what_goes/clock_test.cpp
  tool/what_goes/everyday_test.cpp
  tool/what_goes/id_lists_test.cpp
  tool/what_goes/named_again_test.cpp
  tool/what_goes/orphans_test.cpp
  tool/what_goes/unplaced_test.cpp
  PROPERTIES UNITY_GROUP tool_tests_6)
# postgresql_tests
set_source_files_properties(
  postgresql/postgresql_guard_test.cpp
  postgresql/postgresql_patience_test.cpp
  postgresql/postgresql_schema_test.cpp
  postgresql/postgresql_settings_test.cpp
  postgresql/postgresql_silence_test.cpp
  PROPERTIES UNITY_GROUP postgresql_tests_1)
set_source_files_properties(
  postgresql/postgresql_access_test.cpp
  postgresql/postgresql_race_test.cpp
  postgresql/postgresql_refusal_test.cpp
  postgresql/postgresql_server_crash_test.cpp
  postgresql/postgresql_trouble_test.cpp
  PROPERTIES UNITY_GROUP postgresql_tests_2)
# every_call_tests
set_source_files_properties(
  every_call/crash_every_call_test.cpp
  every_call/fault_every_call_test.cpp
  every_call/power_loss_test.cpp
  every_call/unsynced_disk.cpp
  PROPERTIES UNITY_GROUP every_call_tests_1)
