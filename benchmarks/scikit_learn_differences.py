"""Why tests of scikit-learn fail on our classes: patterns of test names, and a reason.

A reason is a difference that the documentation tells, or that a test asks for what is private to
scikit-learn.
"""

from __future__ import annotations

# Reasons, each with the tests that it explains.
REASONS = {
    "there is no solver 'liblinear', which penalises the intercept, and none for the dual": """
        test_logistic::*liblinear*
        test_logistic::test_check_solver_option*
        test_logistic::test_consistency_path*
        test_logistic::test_logistic_cv?42-False?
        test_logistic::test_logistic_regression_solvers?42?
        test_logistic::test_logreg_l1*
    """,
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
    """,
    "the error or warning is there, in words of our own that name the remedy": """
        test_glm::test_linalg_warning_with_newton_solver*
        test_ridge::test_ridge_individual_penalties
        test_ridge::test_ridgecv_alphas_validation*
        test_ridge::test_ridgecv_alphas_zero*None*
        test_coordinate_descent::test_enet_l1_ratio
        test_coordinate_descent::test_enet_nonfinite_params
        test_coordinate_descent::test_lassocv_alphas_validation*
        test_coordinate_descent::test_path_unknown_parameter*
        test_coordinate_descent::test_cv_estimators_reject_params_with_no_routing_enabled*
        test_logistic::test_l1_ratio_non_elasticnet
        test_logistic::test_lr_penalty_l1ratio_incompatible*
        test_logistic::test_max_iter*
        test_logistic::test_penalty_deprecated*
        test_logistic::test_passing_params_without_enabling_metadata_routing
        test_logistic::test_penalty_none*
        test_mlp::test_mlp_partial_fit_after_fit*
        test_mlp::test_nonfinite_params
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
        test_coordinate_descent::test_enet_float_precision
    """,
    "networks compute in their parameter dtype, 'float32' by default, whatever X is": """
        test_mlp::test_mlp_param_dtypes*
    """,
    "X is never written to and always checked: copy_X and check_input have no effect": """
        test_coordinate_descent::test_check_input_false
        test_coordinate_descent::test_enet_copy_X_False_check_input_False
        test_base::test_inplace_data_preprocessing*
    """,
    "more is taken: sparse X or bounds with any solver, alpha=0, Gram matrices not centred": """
        test_coordinate_descent::test_lasso_alpha_warning
        test_coordinate_descent::test_overridden_gram_matrix
        test_base::test_raises_value_error_if_positive_and_sparse
        test_ridge::test_ridge_fit_intercept_sparse_error*
        test_ridge::test_ridge_positive_error_test*
        test_logistic::test_large_sparse_matrix*
    """,
    "each column of y has a path of its own, so it may have bounds": """
        test_coordinate_descent::test_enet_path_positive*
    """,
    "solver_ names what ran, which other names are mapped to; sums are exact, so none fails": """
        test_ridge::test_lbfgs_solver_error
        test_ridge::test_n_iter
        test_ridge::test_ridge_fit_intercept_sparse_sag*
        test_ridge::test_ridge_regression?*
        test_logistic::test_newton_cholesky_fallback_to_lbfgs
    """,
    "what scikit-learn 1.9 deprecates is not taken, or is not deprecated here": """
        test_coordinate_descent::test_path_function_deprecated_n_alphas*
        test_logistic::test_l1_ratio_None_deprecated
        test_logistic::test_LogisticRegressionCV_elasticnet_attribute_shapes*
        test_logistic::test_LogisticRegressionCV_no_refit*
        test_logistic::test_LogisticRegressionCV_on_folds
        test_logistic::test_logistic_cv?42-True?
        test_logistic::test_logisticregression_warns_with_n_jobs
        test_logistic::test_logisticregressioncv_warns_with_use_legacy_attributes
        test_logistic::test_lr_cv_scores_differ_when_sample_weight_is_requested*
        test_logistic::test_lr_scoring_warns
        test_logistic::test_multinomial_cv_iris*
        test_logistic::test_n_iter?True-*
        test_logistic::test_scores_attribute_layout_elasticnet
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
        test_coordinate_descent::test_1d_multioutput_*_cv
        test_coordinate_descent::test_warm_start*
        test_coordinate_descent::test_enet_coordinate_descent_raises_convergence*
        test_mlp::test_lbfgs_classification_maxfun*
    """,
    "log probabilities are precise where the probabilities round to 1": """
        test_mlp::test_predict_proba_multilabel
    """,
    "a diverging fit ends, with a warning, before its numbers are no longer finite": """
        test_mlp::test_mlp_diverging_loss
    """,
    "a training set without a class has no optimum, for its intercept falls for ever: an error": """
        test_logistic::test_logistic_cv_folds_with_classes_missing*
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
    "networks: progress is a bar, and one class is an error": """
        test_mlp::test_preserve_feature_names?MLPClassifier?
        test_mlp::test_verbose_sgd
    """,
}
DIFFERENCES = {pattern: reason for reason, tests in REASONS.items() for pattern in tests.split()}

# Only where X, y and weights are Dask Arrays.
WITH_DASK = dict.fromkeys(
    ("test_huber::test_huber_sparse*", "test_huber::test_huber_scaling_invariant"),
    "outliers_ is for fits to arrays in memory: outliers(X, y) is as lazy as X and y are",
)
