"""Why tests of scikit-learn fail on our classes: patterns of test names, and a reason.

A reason is a difference that the documentation tells, or that a test asks for what is private to
scikit-learn.
"""

from __future__ import annotations

# Reasons, each with the tests that it explains.
REASONS = {
    "asks for private attributes or methods of scikit-learn's class": """
        test_logistic::test_get_default_scorer
        test_logistic::test_logistic_cv_multinomial_score*
        test_logistic::test_logreg_predict_proba_multinomial*
        test_mlp::test_adaptive_learning_rate
        test_mlp::test_gradient
        test_mlp::test_learning_rate_warmstart
        test_mlp::test_n_iter_no_change*
        test_sgd::test_loss_function_epsilon*
        test_sgd::test_plain_has_no_average_attr*
        test_sgd::test_sgd_predict_proba_method_access*
        test_sgd::test_validation_mask_correctly_subsets
        test_coordinate_descent::test_lassoCV_does_not_set_precompute*
        test_coordinate_descent::test_overridden_gram_matrix
    """,
    "the error or warning is there, in words of our own that name the remedy": """
        test_glm::test_linalg_warning_with_newton_solver*
        test_ridge::test_ridge_individual_penalties
        test_ridge::test_ridgecv_alphas_validation*
        test_ridge::test_ridgecv_alphas_zero*None*
        test_coordinate_descent::test_elasticnet_precompute_incorrect_gram
        test_coordinate_descent::test_enet_l1_ratio
        test_coordinate_descent::test_enet_nonfinite_params
        test_coordinate_descent::test_lassocv_alphas_validation*
        test_coordinate_descent::test_path_unknown_parameter*
        test_coordinate_descent::test_cv_estimators_reject_params_with_no_routing_enabled*
        test_logistic::test_l1_ratio_non_elasticnet
        test_logistic::test_lr_penalty_l1ratio_incompatible*
        test_logistic::test_max_iter*
        test_logistic::test_penalty_deprecated*
        test_logistic::test_penalty_none*
        test_mlp::test_mlp_partial_fit_after_fit*
        test_mlp::test_nonfinite_params
        test_mlp::test_mlp_diverging_loss
        test_mlp::test_warm_start
        test_sgd::test_partial_fit_weight_class_balanced*
        test_sgd::test_provide_coef*
        test_sgd::test_set_intercept_offset*
        test_sgd::test_sgd_early_stopping_with_partial_fit*
        test_sgd::test_sgd_error_on_zero_validation_weight
        test_sgd::test_sgd_failing_penalty_validation*
        test_sgd::test_tol_parameter
        test_sgd::test_underflow_or_overflow
    """,
    "coefficients are float64 whatever X is, for sums over rows are": """
        test_ridge::test_dtype_match*
        test_logistic::test_dtype_match*
        test_sgd::test_sgd_dtype_match*
        test_mlp::test_mlp_param_dtypes*
    """,
    "X is never written to, so copy_X has no effect": """
        test_base::test_inplace_data_preprocessing*
    """,
    "more is taken than by scikit-learn: sparse X with bounds or any solver, bounds with any": """
        test_base::test_raises_value_error_if_positive_and_sparse
        test_ridge::test_ridge_fit_intercept_sparse_error*
        test_ridge::test_ridge_positive_error_test*
        test_logistic::test_large_sparse_matrix*
    """,
    "solver_ names what ran, which other names are mapped to; sums are exact, so none fails": """
        test_ridge::test_lbfgs_solver_error
        test_ridge::test_n_iter
        test_ridge::test_ridge_fit_intercept_sparse_sag*
        test_ridge::test_ridge_regression?*
        test_logistic::test_n_iter*
        test_logistic::test_newton_cholesky_fallback_to_lbfgs
    """,
    "there is no solver 'liblinear', which penalises the intercept, and none for the dual": """
        test_logistic::*liblinear*
        test_logistic::test_check_solver_option*
        test_logistic::test_consistency_path*
        test_logistic::test_logistic_regression_solvers?42?
        test_logistic::test_logreg_l1*
    """,
    "what scikit-learn 1.9 deprecates is not taken, or is not deprecated here": """
        test_coordinate_descent::test_path_function_deprecated_n_alphas*
        test_logistic::test_l1_ratio_None_deprecated
        test_logistic::test_logisticregression_warns_with_n_jobs
        test_logistic::test_logisticregressioncv_warns_with_use_legacy_attributes
        test_logistic::test_lr_scoring_warns
        test_ridge::test_regularization_limits_ridge_gcv*
        test_sgd::test_power_t_limits*
    """,
    "callbacks of scikit-learn are an experiment of its own": """
        test_logistic::test_logistic_regression_callback*
    """,
    "other solvers take other steps, and end elsewhere within tol of the optimum": """
        test_huber::test_huber_warm_start
        test_logistic::test_elastic_net_vs_l1_l2*
        test_logistic::test_logistic_regression_class_weights*
        test_coordinate_descent::test_warm_start*
        test_coordinate_descent::test_enet_coordinate_descent_raises_convergence*
    """,
    "a fit of no iterations is an error: max_iter is at least 1": """
        test_logistic::test_zero_max_iter*
    """,
    "scikit-learn shortens the intercept's steps of CSR rows a hundredfold; here layouts agree": """
        test_sgd::test_average_binary_computed_correctly?Sparse*
        test_sgd::test_average_sparse?Sparse*
        test_sgd::test_late_onset_averaging_reached?Sparse*
        test_sgd::test_sgd_averaged_computed_correctly?Sparse*
        test_sgd::test_sgd_averaged_partial_fit?Sparse*
        test_sgd::test_sgd_multiclass_average?Sparse*
    """,
    "rows are shuffled and held out by a generator of our own, each row by itself": """
        test_mlp::test_early_stopping_stratified
        test_mlp::test_fit
        test_mlp::test_minimum_input_sample_size
        test_sgd::test_multi_core_gridsearch_and_early_stopping
        test_sgd::test_validation_set_not_used_for_training*
    """,
    "networks: losses are kept beside scores, progress is a bar, one class is an error": """
        test_mlp::test_early_stopping?*
        test_mlp::test_partial_fit_errors
        test_mlp::test_preserve_feature_names?MLPClassifier?
        test_mlp::test_verbose_sgd
    """,
    "a fold of one row has no R2: an error, where scikit-learn warns and goes on with NaN": """
        test_ridge::test_ridgecv_alphas_zero?RidgeCV-3?
        test_ridge::test_ridgecv_sample_weight
    """,
}
DIFFERENCES = {pattern: reason for reason, tests in REASONS.items() for pattern in tests.split()}

# Only where X, y and weights are Dask Arrays.
WITH_DASK: dict[str, str] = {}
